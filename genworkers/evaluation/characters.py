"""How well pictures of characters obey their prompts: the share that is right, attribute by attribute."""

from collections.abc import Mapping, Sequence


def accuracy_by_attribute(asked: Sequence[Mapping[str, str]], shown: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Share of pictures that show what was asked for.

    Args:
        asked, shown: for each picture its attributes; all have the same ones.

    Returns:
        The share by attribute, and under "all of them" that of pictures without a single mistake.

    Raises:
        ValueError: the two differ in length, or there are none.
    """
    if not asked or len(asked) != len(shown):
        raise ValueError(f"asked for {len(asked)} pictures, got {len(shown)}; both must be the same and not 0")
    is_right = [
        {name: wanted[name] == seen[name] for name in wanted} for wanted, seen in zip(asked, shown, strict=True)
    ]
    shares = {name: sum(right[name] for right in is_right) / len(is_right) for name in asked[0]}
    return {**shares, "all of them": sum(all(right.values()) for right in is_right) / len(is_right)}


def accuracy_table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines of a Markdown table, in percent: one column a measurement, one row an attribute."""
    rows = next(iter(columns.values()))
    lines = [f"| attribute | {' | '.join(columns)} |", f"|---{'|--:' * len(columns)}|"]
    for name in rows:
        lines.append(f"| {name} | {' | '.join(f'{100 * shares[name]:.1f}' for shares in columns.values())} |")
    return lines
