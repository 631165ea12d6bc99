"""What somebody else has on the Ray cluster of the tests."""

from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Theirs:
    """Says whose it is."""

    def __call__(self) -> str:
        return "theirs"


app = Theirs.bind()
