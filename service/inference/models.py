"""The models of one worker: which versions serve, in which role, and why one does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.bundle.distribution import InputJudge
from service.bundle.golden import check_predictions
from service.bundle.loader import BundleDescription, ModelBundle
from service.bundle.row_schema import RowParser
from service.bundle.signature import Signature
from service.errors import BundleError, ExternalModelError, NotReadyError, UnknownModelError
from service.events import Announcer, ModelBecameReady, ModelKey, ModelLoadFailed, ReadinessChanged


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One loaded version with what the request path needs of it."""

    key: ModelKey
    bundle: ModelBundle
    parser: RowParser
    loaded_timestamp: float


@dataclass(frozen=True, slots=True, eq=False)
class DescribedModel:
    """One version as far as predictions made elsewhere need it; it may have no estimator."""

    key: ModelKey
    signature: Signature
    parser: RowParser
    judge: InputJudge


class Models:
    """Loaded versions, their readiness, and the one that answers when none is named.

    Args:
        bundles: what was loaded, each with the Unix time of its load.
        external: versions that other software serves.
        failures: versions on disk that could not be loaded, each with its error.
        stable: the version of each model that answers when none is pinned.
        default_model: the model that answers when none is named.
        batch_rows_max: most rows of a batch.
        announcer: hears of readiness and failures.
    """

    def __init__(
        self,
        *,
        bundles: Iterable[tuple[ModelBundle, float]],
        external: Iterable[tuple[BundleDescription, float]] = (),
        failures: Mapping[ModelKey, BundleError],
        stable: Mapping[str, str],
        default_model: str | None,
        batch_rows_max: int,
        announcer: Announcer,
    ) -> None:
        self._models = {
            bundle.key: ServedModel(bundle.key, bundle, RowParser(bundle.signature, batch_rows_max), loaded)
            for bundle, loaded in bundles
        }
        externals = list(external)
        self._external = {bundle.key: loaded for bundle, loaded in externals}
        described = [*(model.bundle for model in self._models.values()), *(bundle for bundle, _ in externals)]
        self._described = {bundle.key: _describe(bundle, batch_rows_max) for bundle in described}
        self._failures = dict(failures)
        self._stable = dict(stable)
        self._announcer = announcer
        self._ready: set[ModelKey] = set()
        self._draining = False
        self.default_model = default_model
        self.batch_rows_max = batch_rows_max

    def check(self) -> None:
        """Run trial prediction and golden requests of every loaded version; those that pass may serve."""
        for key, error in self._failures.items():
            self._announcer.announce(ModelLoadFailed(key, error.reason))
        for key, model in self._models.items():
            try:
                check_predictions(model.bundle)
            except BundleError as error:
                self._failures[key] = error
                self._announcer.announce(ModelLoadFailed(key, error.reason))
            else:
                self._ready.add(key)
                self._announcer.announce(ModelBecameReady(key, model.loaded_timestamp))
        for key, loaded in self._external.items():
            self._announcer.announce(ModelBecameReady(key, loaded))
        self._announcer.announce(ReadinessChanged(self.not_ready_reason is None))

    def drain(self) -> None:
        """Say "not ready" from now on; what is asked is still answered."""
        if not self._draining:
            self._draining = True
            self._announcer.announce(ReadinessChanged(False))

    @property
    def is_draining(self) -> bool:
        """Whether the worker is on its way out."""
        return self._draining

    @property
    def failures(self) -> Mapping[ModelKey, BundleError]:
        """Versions that do not serve, each with the reason."""
        return self._failures

    @property
    def not_ready_reason(self) -> str | None:
        """Why this worker should get no traffic; None if it should.

        One broken bundle among several does not take the worker out, the default model does.
        """
        if self._draining:
            return "draining"
        if not self._ready and not self._external:
            return "no model is ready"
        if self.default_model is not None and not self._is_stable_ready(self.default_model):
            return f"the default model {self.default_model} is not ready"
        return None

    def _is_stable_ready(self, name: str) -> bool:
        return ModelKey(name, self._stable.get(name, "")) in self._ready

    def resolve(self, name: str | None, version: str | None) -> ModelKey:
        """Name the version that answers: the pinned one, else the stable one of the named or default model.

        Raises:
            UnknownModelError: no such model or version.
        """
        name = name or self.default_model
        version = version or self._stable.get(name or "")
        if name is None or version is None:
            raise UnknownModelError("no such model")
        key = ModelKey(name, version)
        if key in self._described or key in self._failures:
            return key
        raise UnknownModelError("no such version" if name in self._stable else "no such model")

    def serving(self, key: ModelKey) -> ServedModel:
        """Return a version that was resolved.

        Raises:
            ExternalModelError: other software serves it.
            NotReadyError: it is there, but may not serve.
        """
        if key in self._external:
            raise ExternalModelError("served elsewhere")
        if key not in self._ready:
            raise NotReadyError(f"{key.model_name} {key.model_version} did not pass its checks")
        return self._models[key]

    def described(self, key: ModelKey) -> DescribedModel:
        """Return a version that was resolved, whether or not it may serve here.

        Raises:
            NotReadyError: its bundle could not be read.
        """
        if key not in self._described:
            raise NotReadyError(f"{key.model_name} {key.model_version} could not be loaded")
        return self._described[key]

    def role(self, key: ModelKey) -> str:
        """Return `stable`, or an empty string for a version without a role."""
        return "stable" if self._stable.get(key.model_name) == key.model_version else ""

    def all(self) -> list[ServedModel]:
        """Return the loaded versions that may serve, by name and version."""
        return [self._models[key] for key in sorted(self._ready)]


def _describe(bundle: BundleDescription, batch_rows_max: int) -> DescribedModel:
    signature = bundle.signature
    judge = InputJudge(signature, bundle.reference)
    return DescribedModel(bundle.key, signature, RowParser(signature, batch_rows_max), judge)
