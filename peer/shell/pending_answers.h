// The commands that wait for an answer of the metaserver, by the number of their request
// (peer/core/open_requests.h). An answer must be of the kind that was asked for, and a page of the
// topology must follow the order that was asked for: otherwise the command gets an error of code
// `protocol`.
//
// At most limits::kPendingAnswers wait for each kind: a metaserver that never answers is not asked
// without end. Each answer is called once. Thread rule: the loop's thread only; used by Network.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "common/base/result.h"
#include "common/wire/registry.h"

namespace espalier::peer::shell {

class PendingAnswers {
 public:
  using Answer = std::function<void(Result<wire::RegistryReply>)>;

  bool hasRoomFor(const wire::RegistryRequest& request) const;
  // `request` was sent with that number.
  void add(std::uint64_t number, const wire::RegistryRequest& request, Answer answer);
  // Calls the answer that waits for the request with that number, if one does.
  void answer(std::uint64_t number, const wire::RegistryReply& reply);
  // The metaserver is gone: none of them is answered any more.
  void failAll(const Error& error);

 private:
  enum Kind : std::size_t { topology, members, ratings, statistics, rooms, kKinds };
  struct Waiting {
    wire::RegistryRequest request;
    Answer answer;
  };
  static Kind kindOf(const wire::RegistryRequest& request);
  static bool fits(const wire::RegistryRequest& request, const wire::RegistryReply& reply);

  std::map<std::uint64_t, Waiting> waiting_;  // by the number of the request
  std::array<std::size_t, kKinds> counts_{};
};

}  // namespace espalier::peer::shell
