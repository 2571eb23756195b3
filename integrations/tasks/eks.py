"""Amazon EKS: clusters, node groups, Fargate profiles and add-ons, plain and `.sync`. Calls to a
Kubernetes API are not made from here.
"""

from collections.abc import Callable

from stepwell.engine.tasks import Handler
from stepwell.integrations.host import Host
from stepwell.integrations.tasks.optimised import Job, Members, Service

_KUBERNETES = ("call", "runJob")
_THINGS = {
    "Cluster": ("name",),
    "Nodegroup": ("clusterName", "nodegroupName"),
    "FargateProfile": ("clusterName", "fargateProfileName"),
    "Addon": ("clusterName", "addonName"),
}


def _named(names: tuple[str, ...]) -> Callable[[Members, Members], Members]:
    return lambda parameters, answer: {name: parameters[name] for name in names}


def _jobs() -> dict[str, Job]:
    jobs = {}
    for thing, names in _THINGS.items():
        member = thing[0].lower() + thing[1:]
        failed = ("FAILED", "CREATE_FAILED", "DELETE_FAILED", "DEGRADED")
        about = (f"Describe{thing}", _named(names), (member, "status"))
        jobs[f"create{thing}"] = Job(*about, ("ACTIVE",), failed, ())
        jobs[f"delete{thing}"] = Job(*about, (), failed, (), deleted="ResourceNotFoundException")
    return jobs


_SERVICE = Service("eks", "EKS", "AmazonEKS", "AmazonEKSException", _jobs())


def actions(host: Host) -> dict[str, Handler]:
    return {
        name: handler for name, handler in _SERVICE.actions(host).items() if name not in _KUBERNETES
    }
