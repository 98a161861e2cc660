"""Gene sets: the sets that a genomic block declares, as far as their members were measured."""

from __future__ import annotations

from osler.cohort.reading import Reading
from osler.cohort.specs import GenomicsSpec
from osler.readers.gene_sets import read_gene_sets

__all__ = ["gene_sets"]

_FEWEST = 5  # measured members that a set needs
_MOST = 500  # sets that a model takes in


def gene_sets(
    reading: Reading, spec: GenomicsSpec, features: tuple[str, ...]
) -> tuple[dict[str, tuple[str, ...]], str]:
    """Sets of at least five of ``features``, and one sentence that counts what was left out; nothing if none are asked.

    A feature belongs to a gene when its name, without what ``spec.gene`` puts around the star, is the gene's, whether
    in capitals or not. What cannot be read, no set at all, and more than 500 sets are noted as violations.
    """
    name = spec.sets
    if name is None:
        return {}, ""
    read = reading.findings.attempt(lambda: read_gene_sets(reading.folder, name))
    if read is None:
        return {}, ""
    named, reading.sources[name] = read
    of_gene = _by_gene(features, spec.gene)
    measured = {
        title: tuple(feature for gene in members for feature in of_gene.get(gene.casefold(), ()))
        for title, members in named.items()
    }
    kept = {title: members for title, members in measured.items() if len(members) >= _FEWEST}
    genes = {gene.casefold() for members in named.values() for gene in members}
    unknown = len(genes - set(of_gene))
    if not kept:
        reading.findings.add(
            name,
            "gene sets name features of their block",
            f"sets with {_FEWEST} or more measured members",
            f"none of {len(named)} sets; {unknown} of {len(genes)} genes are no feature of {spec.title!r}",
            'Say how feature names hold the gene, such as gene = "*_rnaseq", or give sets of the same identifiers.',
        )
    if len(kept) > _MOST:
        reading.findings.add(
            name,
            f"a block has at most {_MOST} gene sets",
            f"{_MOST} sets or fewer",
            f"{len(kept)} sets",
            "Choose a smaller collection, such as the hallmark sets.",
        )
    told = (
        f"{len(kept)} of {len(named)} gene sets have {_FEWEST} or more measured members; "
        f"{unknown} of {len(genes)} genes named were not measured"
    )
    return kept, told


def _by_gene(features: tuple[str, ...], pattern: str) -> dict[str, tuple[str, ...]]:
    """Gene in small letters -> the features that hold it."""
    before, after = pattern.split("*")
    found: dict[str, tuple[str, ...]] = {}
    for feature in features:
        if feature.startswith(before) and feature.endswith(after) and len(feature) > len(before) + len(after):
            gene = feature[len(before) : len(feature) - len(after)].casefold()
            found[gene] = (*found.get(gene, ()), feature)
    return found
