// Runs a command of a peer with fake services, and keeps its outcome.
#pragma once

#include <string>

#include "common/command/dispatcher.h"
#include "peer/shell/commands.h"
#include "tests/unit/fake_peer_service.h"

namespace espalier::test {

// One command, as a client without a terminal gives it.
struct Given {
  FakePeerService service;
  peer::shell::CommandSettings settings;
  command::Context context;

  struct Came {
    command::Outcome outcome;
    command::Json data;
    std::string out;
    std::string err;
    std::string json;
  };

  Came run(const std::string& line) {
    const command::Dispatcher dispatcher(peer::shell::peerCommands(service.services(), settings),
                                         peer::shell::peerNames(service.services()));
    Came came;
    came.outcome = dispatcher.runLine(line, context);
    came.data = came.outcome.json();
    const auto text = render(came.outcome, command::Format::text);
    came.out = text.out;
    came.err = text.err;
    came.json = render(came.outcome, command::Format::json).out;
    return came;
  }
};

}  // namespace espalier::test
