"""Gene sets: a GMT file, one set per line, as names and members."""

from __future__ import annotations

from osler.readers.files import Folder, gunzip, refuse, too_large

__all__ = ["read_gene_sets"]

_MOST_SETS, _MOST_MEMBERS = 50_000, 5_000_000
_FORM = "name, description and members, separated by tabs"


def read_gene_sets(folder: Folder, name: str) -> tuple[dict[str, tuple[str, ...]], str]:
    """Set name -> members (each once, in file order), and the digest of the file.

    Args:
        folder: the cohort's root.
        name: of a GMT file, plain or .gz: each line a set's name, a description, and its members, separated by tabs
            (Subramanian A et al. PNAS 2005;102:15545). Empty lines are passed over.

    Raises:
        DataError: the file is missing, too large or not UTF-8; it holds no set; a line has fewer than three fields or
            no name; a name stands twice.
    """
    source = folder.read(name)
    if name.lower().endswith(".gz"):
        source = gunzip(source, folder.limits)
    try:
        lines = source.data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise refuse(name, "the text must be UTF-8", "UTF-8", "other bytes", "Save the list as UTF-8 text.") from None
    numbered = [(i, line.split("\t")) for i, line in enumerate(lines, 1) if line.strip()]
    if len(numbered) > _MOST_SETS:
        raise too_large(name, "gene sets", _MOST_SETS)
    if sum(len(fields) for _, fields in numbered) > _MOST_MEMBERS:
        raise too_large(name, "members of gene sets", _MOST_MEMBERS)
    short = [i for i, fields in numbered if len(fields) < 3 or not fields[0].strip()]
    if short or not numbered:
        found = "other lines" if short else "no line"
        rows, count = tuple(short[:10]), max(len(short), 1)
        raise refuse(
            name, "each line is a gene set", _FORM, found, "Give a file in GMT format.", rows=rows, count=count
        )
    sets: dict[str, tuple[str, ...]] = {}
    twins = []
    for i, (title, _, *members) in numbered:
        if title.strip() in sets:
            twins.append(i)
        sets[title.strip()] = tuple(dict.fromkeys(member.strip() for member in members if member.strip()))
    if twins:
        rows, count = tuple(twins[:10]), len(twins)
        raise refuse(
            name, "set names are unique", "each name once", "names again", "Remove the twins.", rows=rows, count=count
        )
    return sets, source.sha256
