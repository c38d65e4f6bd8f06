// One seeded run with liars among the members (liar.h): some one in eight of the peers, at least
// one. Peers join, faults occur, and honest peers push files, while the liars lie. Then the faults
// end. What must hold of the honest peers:
//
//   while the liars go on
//     one tree             all peers that are awake have one root. Both ends of each link that two
//                          honest peers hold agree, and the metaserver has that link, too.
//     complete searches    an honest peer finds the file of each honest peer, at its endpoint, and
//                          counts each as searched once
//     bounded tables       links, contacts, searches, pushes, dials
//   False labels (Lie::labels) may make a cycle of links for a while; at rest there must be none.
//   after the liars have ended
//     true ledgers         push_witness.h
//
// A liar that passes nothing on (Lie::mute), or says too early that all peers behind it have
// answered (Lie::coverage), hides them. With such liars a search must find the files of the honest
// peers that the asker is linked to through other peers. Its numbers must add up.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome runLiars(const Schedule& schedule);

}  // namespace espalier::simulation
