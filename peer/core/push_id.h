// What makes a push its sender's own. Nothing is signed. Only hashes are used, and the instance
// key, which a peer keeps when it is started again.
//
//   id          8 random bytes, then the first 8 of SHA-256(these, sender, recipients, files,
//               end hash). So an offer of something else under the id of a push is recognised,
//               whichever of the two arrives first.
//   end proofs  "cancelled": the first 16 bytes of SHA-256(instance key, all of the above but the
//               end hash). "closed": those of SHA-256(the proof of "cancelled"). The end hash:
//               those of SHA-256(the proof of "closed"). So only the sender can end a push, and
//               nobody can make "cancelled" of "closed". The sender recognises its own push by the
//               end hash.
//
// An older program's id has 16 random bytes and commits to nothing, and there is no end hash.
//
// Pure functions; they cost up to two hashes of the offer. Used by Pushes.
#pragma once

#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

// Completes an offer of which sender, files, recipients, and the random bytes of the id are set.
void sealOffer(wire::PushOffer& offer, const InstanceKey& key);
// Whether the peer with that key has sealed the offer.
bool isSealedWith(const wire::PushOffer& offer, const InstanceKey& key);

// The id that commits to the offer, and begins with the random bytes of `offer.id`.
PushId committedId(const wire::PushOffer& offer);
// Whether the id commits to the offer.
bool isCommitted(const wire::PushOffer& offer);

// The proof of an end other than `open`, of an offer that is sealed with the key.
PushEndProof endProofOf(const wire::PushOffer& offer, const InstanceKey& key, wire::PushEnd end);
// Whether the proof shows that the sender has ended the push like that.
bool provesEnd(const wire::PushOffer& offer, wire::PushEnd end, const PushEndProof& proof);

}  // namespace espalier::peer
