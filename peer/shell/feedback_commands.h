// The commands `rate` and `stats` of a peer. Thread rule: as their service.
#pragma once

#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/feedback_service.h"

namespace espalier::peer::shell {

// The service outlives its commands.
std::vector<command::Command> feedbackCommands(FeedbackService& service);

}  // namespace espalier::peer::shell
