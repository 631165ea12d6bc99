from hotfire.hosting import Hosting, change, hostings

LARGE = Hosting("ml.m5.large")


def test_instances_are_counted() -> None:
    (found,) = hostings([{"InstanceType": "ml.m5.large", "InitialInstanceCount": 2}])
    assert str(found) == "2 × ml.m5.large"


def test_serverless_is_said_by_its_sizes() -> None:
    (found,) = hostings([{"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}])
    assert str(found) == "serverless with 2048 MB, 5 at once"


def test_a_known_price_is_that_of_all_instances() -> None:
    two = Hosting("ml.m5.large", 2)
    assert two.priced("us-east-1") == "2 × ml.m5.large (about $0.23 an hour, as of December 2024)"


def test_of_an_unknown_price_nothing_is_said() -> None:
    assert LARGE.priced("sa-east-1") == "1 × ml.m5.large"


def test_what_was_there_before_is_named() -> None:
    said = change([LARGE], [Hosting("ml.m5.large", 3)], 0, "sa-east-1")
    assert said == "3 × ml.m5.large, in place of 1 × ml.m5.large"


def test_autoscaling_is_named_by_its_most() -> None:
    assert change([], [LARGE], 4, "sa-east-1") == "1 × ml.m5.large, up to 4 by autoscaling"
