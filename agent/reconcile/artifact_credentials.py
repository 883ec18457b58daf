"""Reads the Secret that a source's `credentialsRef` names, if it may be read for that.

From the extension's namespace it is read in the extension's name, so that its rights bound what it
can use; from the agent's own namespace in the reconciler's, because such a Secret is for all. No
other namespace is read.
"""

from __future__ import annotations

from agent.drivers.credentials import Credentials, CredentialsRefused, read_credentials
from agent.drivers.origin import PUBLIC, Access
from agent.errors import KubeForbidden, KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.work import Work, acting_for
from shared.contract.artifact import CredentialsReference
from shared.contract.reasons import ReasonCode

_SECRETS = Resource("", "v1", "Secret", "secrets", namespaced=True)


class ArtifactCredentials:
    """Credentials for the sources of one cluster's extensions."""

    def __init__(self, kube: KubeClient, own_namespace: str) -> None:
        self._kube = kube
        self._own_namespace = own_namespace

    def access(self, work: Work) -> Access:
        """How the source of this work is asked. Reads nothing yet."""
        reference = work.spec.source.credentials_ref
        if reference is None:
            return PUBLIC
        namespace = reference.namespace or work.spec.namespace

        async def read() -> Credentials | None:
            return await self._read(work, reference, namespace)

        return Access(f"{namespace}/{reference.name}", read)

    async def _read(
        self, work: Work, reference: CredentialsReference, namespace: str
    ) -> Credentials:
        name = f"{namespace}/{reference.name}"
        if namespace == work.spec.namespace:
            kube = acting_for(self._kube, work.as_user)
        elif namespace == self._own_namespace:
            kube = self._kube
        else:
            raise _unusable(
                f"the Secret {name} is neither in the extension's namespace nor in the agent's",
                final=True,
            )
        try:
            return read_credentials(await kube.get(_SECRETS, reference.name, namespace))
        except KubeNotFound as error:
            raise _unusable(f"there is no Secret {name}") from error
        except KubeForbidden as error:
            raise _unusable(f"the Secret {name} may not be read: {error}") from error
        except CredentialsRefused as error:
            raise _unusable(str(error)) from error


def _unusable(message: str, *, final: bool = False) -> StepFailed:
    return StepFailed(
        ReasonCode.CREDENTIALS_UNUSABLE, f"{message}; nothing was applied", final=final
    )
