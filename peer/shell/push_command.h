// `push PATH…`: hands files to everybody, shows live who has them, ends with the list.
// `push` alone: the pushes that this peer knows of.
#pragma once

#include <string>

#include "common/command/dispatcher.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

command::Command pushCommand(PushService& service);

// {"push":"<32 hex>","sender":"s1","files":[…],"size":12,"verified":1,"peers":2,
//  "ledger":[{"peer":"s2","state":"verified"},{"peer":"s3","state":"declined","reason":"…"}]}
command::Json pushData(const PushReport& report);
// `61 of 64 verified; s17 declined; s40 out of reach`
std::string pushSummary(const PushReport& report);

}  // namespace espalier::peer::shell
