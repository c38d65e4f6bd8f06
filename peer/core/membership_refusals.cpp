// What a metaserver says to a peer that it does not admit as it is: refusals, and where else to go.
#include <fmt/format.h>

#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/core/membership.h"

namespace espalier::peer {
namespace {

// `ID~NUMBER`; a long id is cut. The beginning of an id is a valid one.
PeerId withNumber(const PeerId& id, unsigned number) {
  const std::string suffix = fmt::format("~{}", number);
  const auto begin = cutUtf8(id.text(), limits::kPeerIdBytes - suffix.size());
  return *PeerId::parse(std::string(begin) + suffix);
}

}  // namespace

// A peer that is in the network already lives on, as when it is refused: no user is asked.
void Membership::wordRefused(const wire::WordRefused& refused, TimePoint now, Effects& fx) {
  if (session_.state() != MetaserverSession::State::joining) return;
  if (!tree_) {
    session_.refused();
    fx.notices.push_back({Notice::Kind::wordRefused, refused.word});
    return;
  }
  refusedByMetaserver({ErrorCode::refused, "the join word is another one now"}, now, fx);
}

// The metaserver does not take this peer for the one that it was. Its neighbours know it by its old
// order of joining, or are of another network: it leaves them and goes on as a newcomer.
void Membership::startAnew(const wire::Admitted& admitted, TimePoint now, Effects& fx) {
  if (admitted.self.id != tree_->self().id) {
    fx.notices.push_back({Notice::Kind::renamed, admitted.self.id.text()});
  } else {
    fx.warn(
        "the metaserver does not know this peer as it was: it leaves its neighbours and begins as "
        "a newcomer");
  }
  search_->stop(fx);
  tree_->leave(now, fx);
  tellLinks(tree_->takeChanges().links, fx);
  admitted_ = admitted;
  tree_.emplace(admitted.network, admitted.self, admitted.maxLinks, budget_, now);
  contacts_->setSelf(id_);
}

// Another member has this peer's id: it asks to be a newcomer under the next one. Until it is
// admitted, it keeps its links.
void Membership::takeOtherId(TimePoint now, Effects& fx) {
  id_ = withNumber(wanted_, ++number_);
  session_.refused();
  session_.join(joinRequest(), now, fx);
}

void Membership::refusedByMetaserver(const wire::Failure& failure, TimePoint now, Effects& fx) {
  const bool isJoining = session_.state() == MetaserverSession::State::joining;
  const bool lives = isJoining && tree_;
  if (lives && failure.isIdTaken && number_ < limits::kIdNumbers) return takeOtherId(now, fx);
  const bool isNew = !lives || !std::exchange(refusalTold_, true);
  const bool isAwaited = isJoining && !tree_;  // by a user, who cannot go on without it
  if (isAwaited || (isNew && session_.mayTell(now))) {
    fx.notices.push_back({Notice::Kind::refused, failure.message});
  }
  if (!lives) {
    if (isJoining) session_.refused();
    return;
  }
  // It lives on with its links, as without a metaserver, and asks again: its id may be free then.
  closeSession("it refused this peer", now, fx);
  session_.reconnectNotBefore(limits::kRefusedRetry);
}

// --- to another metaserver

void Membership::redirected(ConnectionId connection, const wire::Redirect& redirect, TimePoint now,
                            Effects& fx) {
  if (left_ || (joined() && !tree_)) return;
  std::string why;
  if (tree_ && redirect.network != tree_->network()) {
    why = "a metaserver sends this peer into another network, where it does not go";
  } else {
    why = session_.redirected(connection, redirect, now, fx);
    if (why.empty()) return;
  }
  if (session_.isMoving(connection)) return session_.stay(why, true, now, fx);
  if (session_.mayTell(now)) fx.warn(why);
  if (!joined()) closeSession(why, now, fx);
}

// A reply of the metaserver to which a member was sent. An admission that would change what this
// peer is in the network is none.
void Membership::movedThere(ConnectionId connection, const wire::RegistryReply& reply,
                            TimePoint now, Effects& fx) {
  if (const auto* redirect = std::get_if<wire::Redirect>(&reply)) {
    return redirected(connection, *redirect, now, fx);
  }
  if (const auto* failure = std::get_if<wire::Failure>(&reply)) {
    return session_.stay(failure->message, true, now, fx);
  }
  if (std::holds_alternative<wire::WordRefused>(reply)) {
    return session_.stay("the join word is another one there", true, now, fx);
  }
  const auto* admission = std::get_if<wire::Admitted>(&reply);
  if (!admission || !session_.awaitsAdmissionThere()) return;
  const auto& self = tree_->self();
  const bool asBefore = admission->network == tree_->network() && admission->self.id == self.id &&
                        admission->self.order == self.order &&
                        admission->self.endpoint.port == self.endpoint.port;
  if (!asBefore) return session_.stay("it takes this peer for another one", true, now, fx);
  session_.moveOn(true, now, fx);
  admitted(*admission, now, fx);
}

}  // namespace espalier::peer
