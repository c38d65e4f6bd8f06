"""One linked member that answers searches for many: for itself and for members of a load, which have no links.

A real peer waits for every member that its metaserver counts. Members that only have a session (bench/sessions) never
answer, so a search beside them would last until its grace ends. The crowd is linked to a real peer, as a child with all
of them below it, and answers each query at once for all their orders, with no hits. So a search is complete, and what
is measured is the way through the real peers, the metaserver's count, and one answer of the crowd.
"""
import pathlib, sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "tests/catalogue")]
from intruder import answer
from member import Member
from wire import HEARTBEAT, field, heartbeat, varint


def ranges_of(orders):
    """[(first, last)], ascending."""
    ranges = []
    for order in sorted(orders):
        if ranges and ranges[-1][1] + 1 == order:
            ranges[-1] = ranges[-1][0], order
        else:
            ranges.append((order, order))
    return ranges


def coverage_of(orders):
    """Field `coverage` of an answer: distances and lengths."""
    told, end = b"", 0
    for first, last in ranges_of(orders):
        told += varint(first - end) + varint(last - first)
        end = last
    return field(4, told)


class Crowd(Member):
    """`speak_for(orders)` says for whom it answers, besides itself."""

    def __init__(self, arena, name):
        self.below, self.coverage = 1, None
        super().__init__(arena, name, on_query=self.answers_for_all)

    def speak_for(self, orders):
        self.coverage, self.below = coverage_of({self.order, *orders}), len(orders) + 1

    def answers_for_all(self, asked):
        return [answer(asked[1], self.coverage or coverage_of({self.order}), field(8, 1))]

    def heartbeat(self):
        while not self.ending.wait(0.5):
            try:
                self.registry.send(HEARTBEAT)
                self.send(heartbeat(b"", self.below))
            except OSError:
                return
