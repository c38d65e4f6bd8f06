#!/usr/bin/env python3
"""20 peers at three metaservers whose master etcd names, with a transfer, a push and a search a second, while these
fail: the master, an etcd, and the master for longer than its lease."""
from cluster import Cluster
from espalier_process import case, main, wait_until
from etcds import Etcds
from load import Load, stands_still


def wait_for_one_of(cluster, names):
    """Waits until all of them say that one of them is the master."""
    def is_one():
        named = set(cluster.masters(names).values())
        return len(named) == 1 and named <= set(names)
    wait_until(is_one, cluster.network.patience, lambda: f"a master among {names}: {cluster.masters(names)}")


@case("with etcd: a killed master, a dead etcd, a master that stands still: transfer, push and searches go on")
def _(network):
    etcds = Etcds(network)
    cluster = Cluster(network, 3, "--max-links", "4", *etcds.option)
    network.max_links = 4
    cluster.start()
    load = Load(cluster, 20)
    cluster.wait_for_tree(load.names)
    with load.running():
        master = cluster.wait_for_master()
        others = [name for name in cluster.names if name != master]
        with load.fault("kill -9 of the master"):
            cluster.servers[master].kill()
            wait_for_one_of(cluster, others)
            load.join("n1", others[0])
            cluster.start(master)
            cluster.wait_for_master()

        with load.fault("one of three etcds is killed"):
            etcds.processes[0].kill()
            load.join("n2", others[1])

        with load.fault("SIGSTOP of the master, 15 s"):
            master = cluster.wait_for_master()
            others = [name for name in cluster.names if name != master]
            with stands_still(cluster.servers[master], 15):
                wait_for_one_of(cluster, others)
                load.join("n3", others[0])
            cluster.wait_for_master()
        load.finish()
    load.check_all()


if __name__ == "__main__":
    main()
