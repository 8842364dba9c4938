"""Differences between configs, as command-line keys."""

import json

from dtir_mm.engine.config_differences import differences


def test_differences_are_listed_by_key():
    before = json.loads('{"a": {"b": [1, 2], "c": null}, "d": [{"e": 1}, {"e": 2}], "f": [{}]}')
    now = {'a': {'b': (1, 2), 'g': 'x'}, 'd': [{'e': 1}, {'e': 3}], 'f': []}
    assert [str(difference) for difference in differences(before, now)] == [
        'a.c None -> not set',
        "a.g not set -> 'x'",
        'd.1.e 2 -> 3',
        'f [{}] -> []',
    ]
