// The id of a push. Nothing is signed, but an id commits to what is offered:
//
//   8 random bytes, then the first 8 of SHA-256(these, sender, recipients, files)
//
// So an offer of something else under the id of a push is recognised, whichever of the two arrives
// first. Older programs take 16 random bytes. Such an id commits to nothing.
//
// Pure functions; they cost one hash of the offer. Used by Pushes.
#pragma once

#include "common/wire/push.h"

namespace espalier::peer {

// The id that commits to the offer, and begins with the random bytes of `offer.id`.
PushId committedId(const wire::PushOffer& offer);
// Whether the id commits to the offer.
bool isCommitted(const wire::PushOffer& offer);

}  // namespace espalier::peer
