// `msg ID TEXT…` and `$private`, `msg ID`, `ignore ID`: private messages at the prompt.
#pragma once

#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/private_service.h"

namespace espalier::peer::shell {

// The service outlives its commands.
std::vector<command::Command> privateCommands(PrivateService& service);

// Of a message that has arrived, for the prompt: one line, safe to print.
std::string privateLine(const std::string& from, const std::string& text, bool isOtherThanBefore);

}  // namespace espalier::peer::shell
