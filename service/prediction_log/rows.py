"""From records of the spool to rows of the database."""

from __future__ import annotations

from service.events import OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE
from service.prediction_log.features import features_of_body
from service.prediction_log.ids import ID_BYTES, PredictionId, fingerprint_of, id_texts, parse_id
from service.prediction_log.records import CorruptRecordError, PredictionRecord, TruthRecord
from service.prediction_log.schema import PredictionRow
from service.prediction_log.truth_rules import ArrivedTruth, Versions, json_text
from service.prediction_log.versions import KnownVersion

_REASONS = {OUT_BY_RANGE: "range", OUT_BY_CATEGORY: "category", OUT_BY_NOVELTY: "novelty"}


def prediction_rows(record: PredictionRecord, versions: Versions) -> list[PredictionRow]:
    """Write a record's predictions as rows, in order.

    A version whose bundle is gone still has its rows: with the class as its number, and without features.

    Raises:
        CorruptRecordError: a body does not hold what the record says.
    """
    version = versions.find(fingerprint_of(record.key))
    confidences = [None] * record.rows if record.confidences is None else record.confidences.tolist()
    reasons = [_REASONS.get(code) for code in memoryview(record.distribution).cast("b")]
    texts = id_texts(record.ids)
    rows: list[PredictionRow] = []
    for request in record.requests:
        for features in _features(version, request.body, request.rows):
            index = len(rows)
            known = parse_id(record.ids[index * ID_BYTES : (index + 1) * ID_BYTES])
            rows.append(
                PredictionRow(
                    texts[index],
                    known.timestamp,
                    record.key.model_name,
                    record.key.model_version,
                    _prediction(version, known),
                    confidences[index],
                    reasons[index],
                    features,
                    request.request_id,
                    request.caller,
                )
            )
    return rows


def arrived_truths(record: TruthRecord) -> list[ArrivedTruth]:
    """Write a record's truths as the store takes them, in order."""
    return [ArrivedTruth(*truth, record.received, record.caller) for truth in record.truths]


def _features(version: KnownVersion | None, body: bytes, rows: int) -> list[str | None]:
    if version is None or not version.store_features:
        return [None] * rows
    try:
        return features_of_body(body, version.signature, rows)
    except (ValueError, TypeError, AttributeError) as error:
        raise CorruptRecordError(f"a body of {version.key.model_name}: {error}") from error


def _prediction(version: KnownVersion | None, known: PredictionId) -> str:
    if version is None:
        return json_text(known.class_index)
    classes = version.signature.classes
    if classes is None:
        return json_text(known.value)
    # A bundle that was replaced by one with fewer classes.
    return json_text(classes[known.class_index] if known.class_index < len(classes) else known.class_index)
