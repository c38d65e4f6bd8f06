// Seeded runs with a cluster: 1 to 7 metaservers, and peers that join through any of them.
//   1. Metaservers start and link; peers join.
//   2. For a while faults occur: metaservers are killed (also between two things that one step
//      does, and with the peers beside them), stand still, are cut from each other (whole, one-way,
//      one pair) and from etcd, start again with a wrong wall clock, drain, move to another address
//      and back, are appointed; their clocks run at different rates, and jump ahead; their
//      connections break. In most runs peers have troubles of their own (troublemaker.h). In a
//      quarter of the runs etcd says who decides.
//   3. The faults end. Some metaservers may stay dead.
//
// At rest: the metaservers are one cluster, with one master if there are two or more, and with one
// directory. It has every peer once, with its order, endpoint and home. The peers are one tree, and
// a search finds all. In runs where peers have no troubles, none of them has another order or other
// links than before.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome runCluster(const Schedule& schedule);

}  // namespace espalier::simulation
