"""Text to numbers and back."""

from __future__ import annotations

from pathlib import Path

from text_classification.encoding import PAD, UNKNOWN, LabelEncoder, Preprocessor, Tokenizer, padded


def test_preprocessing_lowers_and_filters() -> None:
    assert Preprocessor(lower=True, filters="!,-")("  Well-known,\tat LAST!! ") == "well known at last"


def test_preprocessing_can_leave_case_and_punctuation() -> None:
    assert Preprocessor(lower=False, filters="")("At LAST!") == "At LAST!"


def test_words_have_numbers_by_frequency_and_new_ones_are_unknown() -> None:
    tokenizer = Tokenizer.fit(["oil falls", "oil rises"], char_level=False)
    assert tokenizer.encode(["oil", "falls", "rises", "gold"]) == [2, 3, 4, UNKNOWN]


def test_a_text_that_spells_a_special_token_is_not_taken_for_it() -> None:
    tokenizer = Tokenizer.fit(["oil"], char_level=False)
    assert tokenizer.encode(["<PAD>"]) == [UNKNOWN]


def test_characters_are_tokens_if_asked_for() -> None:
    tokenizer = Tokenizer.fit(["aab"], char_level=True)
    assert tokenizer.split("ab a") == ["a", "b", " ", "a"]
    assert tokenizer.encode(tokenizer.split("ab a")) == [2, 3, UNKNOWN, 2]
    assert tokenizer.join(["a", "b"]) == "ab"


def test_a_tokenizer_comes_back_from_its_file(tmp_path: Path) -> None:
    tokenizer = Tokenizer.fit(["Öl fällt"], char_level=False)
    tokenizer.save(tmp_path / "X_tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "X_tokenizer.json")
    assert (loaded.tokens, loaded.char_level) == (tokenizer.tokens, False)


def test_labels_have_numbers_in_alphabetical_order(tmp_path: Path) -> None:
    LabelEncoder.fit(["World", "Sports", "World"]).save(tmp_path / "y_tokenizer.json")
    labels = LabelEncoder.load(tmp_path / "y_tokenizer.json")
    assert labels.labels == ("Sports", "World")
    assert labels.encode(["World", "Sports"]) == [1, 0]


def test_short_sequences_are_padded_at_their_end() -> None:
    assert padded([[5, 6, 7], [8], []]).tolist() == [[5, 6, 7], [8, PAD, PAD], [PAD, PAD, PAD]]


def test_nothing_is_padded_to_one_token() -> None:
    assert padded([[]]).tolist() == [[PAD]]
