"""Which clusters can take a job at all: what it needs of them against what each is set up for (``mirror``, ``submit`` → here).

It is worked out from the clusters as they are now, and never kept with the job: what is set up tomorrow counts tomorrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from domain.clusters import ClusterConfig
from domain.needs import Lack, Needs, lack
from lifecycle.ports import ClusterRecord, Directory
from scheduler.queue import PendingJob


def lacks(directory: Directory, needs: Needs) -> dict[str, Lack]:
    """Why clusters cannot take a job, of those that cannot."""
    found = {name: _lack(cluster, needs) for name, cluster in directory.clusters.items()}
    return {name: why for name, why in found.items() if why is not None}


def barred(directory: Directory, needs: Needs) -> tuple[str, ...]:
    """The clusters that cannot take it."""
    return tuple(sorted(lacks(directory, needs)))


def _lack(cluster: ClusterRecord, needs: Needs) -> Lack | None:
    return lack(needs, cluster.config, jobset=cluster.contact.jobset is not None)


@dataclass(slots=True)
class Places:
    """Remembers the answers for as long as the clusters stay what they are."""

    _clusters: Mapping[str, tuple[ClusterConfig | None, str | None]] = field(default_factory=dict)
    _barred: dict[Needs, tuple[str, ...]] = field(default_factory=dict)

    def renewed(self, directory: Directory) -> bool:
        """Look at the clusters anew. True if what they can take may have changed since."""
        now = {name: (cluster.config, cluster.contact.jobset) for name, cluster in directory.clusters.items()}
        if now == self._clusters:
            return False
        self._clusters, self._barred = now, {}
        return True

    def put(self, job: PendingJob, needs: Needs, directory: Directory) -> PendingJob:
        """The job, kept from clusters that cannot take it."""
        found = self._barred.get(needs)
        if found is None:
            found = self._barred[needs] = barred(directory, needs)
        return job if not found else replace(job, constraint=replace(job.constraint, barred=found))
