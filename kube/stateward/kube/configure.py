"""Where the API server is and who we are there: kubeconfig or service account, read by the official client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from stateward.kube.errors import ConfigError, first_line

_POOL: Final = 64  # connections kept open a host; watches use more and close theirs
_DEFAULT: Final = "~/.kube/config"
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

# kubernetes is imported where it is used: it takes half a second, and most commands ask no cluster.


def as_kubectl(kubeconfig: str | Path | None, context: str | None) -> Any:
    """An ApiClient, from the first of: the file given, $KUBECONFIG, ~/.kube/config, the pod's service account."""
    named = kubeconfig is not None or context is not None or os.environ.get("KUBECONFIG")
    if named or Path(_DEFAULT).expanduser().exists() or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return from_kubeconfig(kubeconfig, context)
    return in_cluster()


def from_kubeconfig(kubeconfig: str | Path | None, context: str | None) -> Any:
    """An ApiClient of a kubeconfig (None: $KUBECONFIG, ~/.kube/config) and a context (None: the current one)."""
    import kubernetes.config

    where = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG") or _DEFAULT
    files = [Path(part).expanduser() for part in where.split(os.pathsep) if part]
    present = [file for file in files if file.exists()]
    if not present:
        raise ConfigError(f"kubeconfig {where}: no such file; name one with --kubeconfig or in $KUBECONFIG")
    for file in present:
        _readable(file)
    configuration = _configuration()
    load: Any = kubernetes.config.load_kube_config
    try:
        # persist_config: a renewed token is never written into the user's file.
        load(
            config_file=os.pathsep.join(map(str, present)),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except Exception as error:  # noqa: BLE001,RUF100 - YAML errors, missing keys, missing certificates: all the same
        named = f", context {context}" if context else ""
        raise ConfigError(
            f"kubeconfig {where}{named}: {first_line(error)}; see kubectl config view and kubectl config get-contexts"
        ) from None
    return _client(configuration)


def namespace(kubeconfig: str | Path | None, context: str | None) -> str:
    """The namespace of what names none: the context's, the pod's own, or `default`. After `as_kubectl` has passed."""
    import kubernetes.config

    where = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG") or _DEFAULT
    present = [str(file) for part in where.split(os.pathsep) if part and (file := Path(part).expanduser()).exists()]
    if not present:
        try:
            return _OWN_NAMESPACE.read_text().strip() or "default"
        except OSError:
            return "default"
    read: Any = kubernetes.config.list_kube_config_contexts
    contexts, active = read(config_file=os.pathsep.join(present))
    named = next((one for one in contexts if one["name"] == context), active) if context is not None else active
    return str((named.get("context") or {}).get("namespace") or "default")


def in_cluster() -> Any:
    """An ApiClient of the pod's service account."""
    import kubernetes.config

    configuration = _configuration()
    load: Any = kubernetes.config.load_incluster_config
    try:
        load(client_configuration=configuration)
    except Exception as error:  # noqa: BLE001,RUF100 - see above
        raise ConfigError(
            f"service account of this pod: {first_line(error)}; "
            "outside a pod use --kubeconfig, inside see automountServiceAccountToken"
        ) from None
    return _client(configuration)


def _configuration() -> Any:
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.connection_pool_maxsize = _POOL
    return configuration


def _client(configuration: Any) -> Any:
    from kubernetes.client import ApiClient

    return ApiClient(configuration)


def _readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"kubeconfig {file}: cannot be read ({error.strerror}); see its permissions") from None
