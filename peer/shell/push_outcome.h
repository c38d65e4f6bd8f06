// The outcome of `push`: files, and the ledger, which says which peers have them. Pure functions;
// text is escaped.
#pragma once

#include <string>
#include <vector>

#include "common/command/outcome.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

using command::Json;

// Of a push that this command made.
struct PushOutcome {
  PushReport report;
};
// `push` alone: the pushes that this peer knows of.
struct KnownPushes {
  std::vector<PushReport> reports;
};

void addMembers(Json& data, const PushOutcome& outcome);  // pushData() and "seconds"
std::string textOf(const PushOutcome& outcome);
void addMembers(Json& data, const KnownPushes& pushes);  // "pushes":[…]
std::string textOf(const KnownPushes& pushes);

// {"push":"<32 hex>","sender":"s1","files":[…],"size":12,"verified":1,"peers":2,
//  "ledger":[{"peer":"s2","state":"verified"},{"peer":"s3","state":"declined","reason":"…"}]}; also
// "unknown":4 if there are members that the ledger does not mention, null if their number is not
// known.
Json pushData(const PushReport& report);
// The same without "files", while the push goes on.
Json pushProgressData(const PushReport& report);

// `61 of 64 verified; s17 declined; s40 out of reach`
std::string pushSummary(const PushReport& report);

std::uint64_t verifiedCount(const PushReport& report);

}  // namespace espalier::peer::shell
