// The dialogue that joins, at a terminal or from a script:
//
//   1  add this peer to the network
//   2  share files, once it is in the network
//   > 1
//   peer id> s2
//   topo to see the network, Enter to go on> topo
//   s1:
//   P2P to join> P2P
//   s2 joined on 127.0.0.1:5002, linked to s1; sharing 4 files (3.1 MB) from ./s2
//
// Blocks; belongs to the prompt's thread. Prompt::close() ends it.
#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/command/prompt.h"
#include "peer/shell/join_service.h"

namespace espalier::peer::shell {

class JoinDialogue {
 public:
  // Both outlive it.
  JoinDialogue(command::Prompt& prompt, JoinService& joiner);

  // Asks what to do, for the id, whether to show the network, for the word. None: the user ended
  // it.
  Result<std::optional<Joined>> join();

  // Joins at once. Asks only after a failure, and at a terminal: for the word, whether to try
  // again.
  Result<std::optional<Joined>> joinAs(const PeerId& id, const std::string& word);

 private:
  enum class Step { again, next, end };

  // The answer without white space around it; none: the input has ended. Ctrl-C asks again.
  std::optional<std::string> ask(const std::string& question);
  bool chooseToJoin();
  std::optional<PeerId> askId();
  Step offerTopology();
  Step offerAnotherTry(const std::string& why);
  Result<std::optional<Joined>> insist(PeerId id, std::string word);

  command::Prompt& prompt_;
  command::LineEditor& editor_;
  JoinService& joiner_;
};

}  // namespace espalier::peer::shell
