from benchmark.changes import changes, leaves


def test_every_difference_is_named_with_both_values() -> None:
    begun, now = {"seed": 1, "width": 0.5, "old": True}, {"seed": 2, "width": 0.5, "new": (1, 2)}
    assert changes(begun, now) == [
        "seed was 1 and is 2 now",
        "old was True and is None now",
        "new was None and is 1, 2 now",
    ]
    assert changes(begun, now, only_common=True) == ["seed was 1 and is 2 now"]
    assert changes({"seed": 1}, {"seed": 2}, wording="{name}: {begun} or {now}") == ["seed: 1 or 2"]
    assert changes(now, dict(now)) == []


def test_long_values_are_cut() -> None:
    (text,) = changes({"ids": list(range(1000))}, {"ids": []})
    assert len(text) < 160


def test_leaves_have_dotted_names_without_init_args() -> None:
    facts = {"model": {"class_path": "A", "init_args": {"width": 1, "recipe": {"momentum": 0.9}}}, "seed": None}
    assert leaves(facts) == {"model.class_path": "A", "model.width": 1, "model.recipe.momentum": 0.9, "seed": None}
