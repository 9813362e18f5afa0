"""Scores of texts: divergences of known frequencies, words, and chains that keep their contexts."""

from collections import Counter

import numpy as np
import pytest

from ldf_np.experiments.text_scores import MarkovChain, known_words, ngram_divergence, ngrams

TEXT = "the cat sat on the mat and the dog sat on the log. " * 40


def test_divergence_of_known_frequencies():
    assert ngram_divergence(["abab"], ["ab", "ab"], 1) == pytest.approx(0, abs=1e-12)
    assert ngram_divergence(["aaaa"], ["bb"], 1) == pytest.approx(1)
    # P = (1/2, 1/2), Q = (1, 0): H(3/4, 1/4) - (1 + 0) / 2
    middle = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert ngram_divergence(["ab"], ["aa"], 1) == pytest.approx(middle - 0.5)
    # control: with the same letters in another order only pairs differ
    assert ngram_divergence(["abab"], ["aabb"], 1) < 1e-12 < ngram_divergence(["abab"], ["aabb"], 2)


def test_ngrams_stay_inside_a_text_and_at_their_places():
    assert ngrams(["abc", "cd"], 2) == Counter({"ab": 1, "bc": 1, "cd": 1})
    assert ngrams(["abcd", "efgh"], 2, [1]) == Counter({"bc": 1, "fg": 1})


def test_known_words():
    held = ["the cat sat on the mat"]
    assert known_words(["x the cat sat y"], held) == 1          # words at the ends may be cut
    assert known_words(["x the cow sat it's y"], held) == 0.5
    assert known_words(["one two"], held) == 0


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_chain_keeps_its_contexts(order):
    texts = MarkovChain(TEXT, order).sample(50, 30, seed=1)
    assert {len(t) for t in texts} == {30}
    assert ngrams(texts, order + 1).keys() <= ngrams([TEXT], order + 1).keys()
    assert texts == MarkovChain(TEXT, order).sample(50, 30, seed=1) != MarkovChain(
        TEXT, order).sample(50, 30, seed=2)


def test_a_longer_memory_comes_nearer():
    scores = [ngram_divergence(MarkovChain(TEXT, m).sample(100, 60), [TEXT], 4) for m in (1, 2, 4)]
    assert scores[0] > scores[1] > scores[2]


def test_a_chain_that_comes_to_the_end_of_its_text_begins_anew():
    assert len(MarkovChain("abcdefgh", 2).sample(3, 40)[0]) == 40


@pytest.mark.parametrize("call, message", [
    (lambda: ngram_divergence([], ["a"], 1), "texts: expected a list of at least one text, got []"),
    (lambda: ngram_divergence("abc", ["a"], 1), "texts: expected a list of at least one text"),
    (lambda: ngram_divergence(["a"], [1], 1), "held_out[0]: expected a str, got int"),
    (lambda: ngram_divergence(["a"], ["ab"], 2), "texts: expected texts of at least 2 characters"),
    (lambda: ngram_divergence(["ab"], ["a"], 2), "held_out: expected texts of at least 2"),
    (lambda: ngram_divergence(["ab"], ["ab"], 0), "n: expected at least 1, got 0"),
    (lambda: known_words(["a"], "a"), "held_out: expected a list of at least one text"),
    (lambda: MarkovChain("abc", 3), "text: expected more than 3 characters, got 3"),
    (lambda: MarkovChain("abc", 0), "order: expected at least 1, got 0"),
    (lambda: MarkovChain("abcd", 1).sample(0, 5), "n: expected at least 1, got 0"),
    (lambda: MarkovChain("abcd", 1).sample(1, 0), "length: expected at least 1, got 0")])
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert message in str(caught.value)


def test_ngrams_that_the_end_cuts_do_not_count():
    assert ngrams(["abcdef"], 3, [2, 3, 4, 5, 6, -1]) == {"cde": 1, "def": 1}
    assert ngrams(["abcdef"], 3) == {"abc": 1, "bcd": 1, "cde": 1, "def": 1}       # control
    with pytest.raises(ValueError, match="texts: expected texts of at least 3 characters"):
        ngram_divergence(["abcdef"], ["abcdef"], 3, places=[4])
