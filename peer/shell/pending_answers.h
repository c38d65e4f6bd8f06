// The commands that wait for an answer of the metaserver. It answers requests of one kind in the
// order of asking and repeats no number, so the first that waits for a kind gets the next answer.
// The core asks for the number of members, too, without a place here: the answer to it may go to a
// command that asked just after it.
//
// At most limits::kPendingAnswers wait for each kind: a metaserver that never answers is not asked
// without end. Each answer is called once. Thread rule: the loop's thread only; used by Network.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>

#include "common/base/result.h"
#include "common/wire/registry.h"

namespace espalier::peer::shell {

class PendingAnswers {
 public:
  using Answer = std::function<void(Result<wire::RegistryReply>)>;

  bool hasRoomFor(const wire::RegistryRequest& request) const;
  // `request` was sent.
  void add(const wire::RegistryRequest& request, Answer answer);
  // Calls the answer that waits for this kind of reply, if one does.
  void answer(const wire::RegistryReply& reply);
  // The metaserver is gone: none of them is answered any more.
  void failAll(const Error& error);

 private:
  enum Kind : std::size_t { topology, members, kKinds };
  static Kind kindOf(const wire::RegistryRequest& request);

  std::deque<Answer> waiting_[kKinds];
};

}  // namespace espalier::peer::shell
