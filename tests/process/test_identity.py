"""Identity: ids, keys and orders of joining that a peer claims without a right, at the metaserver and at links."""
import os
import socket

from espalier_process import case, main, text_of, wait_until
from intruder import BEAT, LINK, REGISTRY, Session, field, message, parse

ADMITTED, REFUSED = 1, 8


class Claim:
    """A Join by hand; `reply` is {number of the kind: its bytes}, after any Wait."""

    def __init__(self, network, name, key, listen_port, network_id=None, order=None, parent=None, neighbours=()):
        self.session = Session(network.address, REGISTRY, network.patience)
        join = message(name.encode(), key, b"P2P", b"127.0.0.1", listen_port, network_id, order, parent)
        self.session.send(field(1, join + b"".join(field(9, each) for each in neighbours)))
        self.reply = parse(self.session.receive())
        while 3 in self.reply:
            self.reply = parse(self.session.receive())
        if ADMITTED in self.reply:
            admitted = parse(self.reply[ADMITTED])
            self.network_id, self.contact = admitted[1], admitted[2]
            self.order = parse(self.contact)[2]
            self.place = parse(admitted.get(6, b""))

    @property
    def refusal(self):
        return parse(self.reply.get(REFUSED, b"")).get(2, b"").decode()

    def close(self):
        self.session.socket.close()


def listener():
    return socket.create_server(("127.0.0.1", 0))


def port_of(server):
    return server.getsockname()[1]


@case("after a restart an id is kept for the key that it had, also when its port listens and its order is known")
def _(network):
    network.start_metaserver()
    key, other = os.urandom(16), os.urandom(16)
    with listener() as server:
        owner = Claim(network, "owner", key, port_of(server))
        state = network.folder / ".metaserver/network"
        wait_until(lambda: text_of(state).endswith(" owner\n"), network.patience, "owner in the metaserver's state")
        network.metaserver.kill()
        network.restart_metaserver()
        for order in (None, owner.order, owner.order + 1):
            thief = Claim(network, "owner", other, 9, owner.network_id, order)
            assert "owner is held for the peer" in thief.refusal, (order, thief.reply)
        back = Claim(network, "owner", key, port_of(server), owner.network_id, owner.order)
        assert ADMITTED in back.reply and back.order == owner.order, back.reply


@case("a member whose connection is lost keeps its id and its order for itself")
def _(network):
    network.start_metaserver()
    key = os.urandom(16)
    with listener() as server:
        owner = Claim(network, "owner", key, port_of(server))
        owner.close()
        wait_until(lambda: "owner" not in network.topo(), network.patience, "owner to be lost")
        thief = Claim(network, "owner", os.urandom(16), 9, owner.network_id, owner.order)
        assert "owner is held for the peer" in thief.refusal, thief.reply
        namesake = Claim(network, "other", os.urandom(16), 9, owner.network_id, owner.order)
        assert namesake.order > owner.order, namesake.order
        back = Claim(network, "owner", key, port_of(server), owner.network_id, owner.order)
        assert back.order == owner.order, (back.order, owner.order)


@case("a peer does not become the root by claiming an early order of joining")
def _(network):
    network.start_metaserver("--max-links", "3")
    network.start_peers(5)
    assert network.command("s1", "stop")[0] == 0
    network.wait_for_tree(["s2", "s3", "s4", "s5"])
    network_id = Claim(network, "guest", os.urandom(16), 9).network_id
    for order in (1, 2, 7, 1000, 2**20, 2**40):
        claim = Claim(network, f"mallory{order}", os.urandom(16), 9, network_id, order, b"s2", [b"s2", b"s3"])
        assert 5 < claim.order < 20 and claim.place.get(1) == 3, (order, claim.order, claim.place)
        assert not network.topo().get(f"mallory{order}"), network.topo()


@case("an Attach under a child's id does not take the child's slot")
def _(network):
    network.start_metaserver("--max-links", "3")
    network.start_peers(3)
    network_id = Claim(network, "guest", os.urandom(16), 9).network_id
    parent = network.peers["s1"]
    for name, order in (("s2", 2), ("s3", 3), ("s2", 1)):
        link = Session(network.endpoint("s1"), LINK, network.patience)
        contact = message(name.encode(), order, b"127.0.0.1", 9)
        link.send(field(1, message(network_id, contact, None, 1)))
        reply = parse(link.receive())
        while 4 in reply:  # Held: the parent waits for its child
            link.send(BEAT)
            reply = parse(link.receive())
        assert 5 in reply and parse(reply[5])[1] == 5, (name, reply)
    assert "is gone" not in parent.log, parent.log
    assert all(network.peers[name].log.count("linked to") <= 1 for name in ("s2", "s3")), network.peers["s2"].log
    network.wait_for_tree_by_peers(["s1", "s2", "s3"])


if __name__ == "__main__":
    main()
