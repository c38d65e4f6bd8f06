// The dialogue and the line editor, in a child process at the other end of a pseudo-terminal.
#include <doctest/doctest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <mutex>
#include <string>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/line_editor.h"
#include "common/command/prompt.h"
#include "common/command/signal_watch.h"
#include "peer/shell/commands.h"
#include "peer/shell/join_dialogue.h"
#include "tests/unit/fake_peer_service.h"

using namespace espalier;
using namespace espalier::peer::shell;
using namespace espalier::test;
using command::LineEditor;
using command::Prompt;

namespace {

constexpr int kPatienceMilliseconds = 20'000;  // for a loaded machine; nothing waits that long

// The user's end of a pseudo-terminal, and the program at the other.
class Terminal {
 public:
  explicit Terminal(const std::function<int()>& program, const char* type = "xterm") {
    winsize size{24, 80, 0, 0};
    std::fflush(nullptr);  // else the child has it, too, and a sanitizer's _exit() writes it
    child_ = ::forkpty(&master_, nullptr, nullptr, &size);
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      ::setenv("TERM", type, 1);
      ::_exit(program());
    }
  }
  ~Terminal() {
    ::close(master_);
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  void type(const std::string& text) {
    REQUIRE(::write(master_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }

  // Waits until `text` was printed behind what was waited for before; everything up to it.
  std::string expect(const std::string& text) {
    while (true) {
      const auto found = seen_.find(text);
      if (found != std::string::npos) {
        const auto upTo = seen_.substr(0, found + text.size());
        seen_.erase(0, upTo.size());
        return upTo;
      }
      if (!receive()) {
        INFO("seen: ", escaped(seen_));
        FAIL("never printed: ", text);
      }
    }
  }

  // Waits for the program's end.
  int exitCode() {
    while (receive()) {
    }
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  const std::string& rest() const { return seen_; }
  pid_t child() const { return child_; }
  int master() const { return master_; }

 private:
  bool receive() {
    pollfd ready{master_, POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMilliseconds) != 1) return false;
    char chunk[4096];
    const auto size = ::read(master_, chunk, sizeof chunk);
    if (size <= 0) return false;
    raw_.append(chunk, static_cast<std::size_t>(size));
    takePlain();
    return true;
  }

  // Moves what is complete from raw_ to seen_, without carriage returns and escape sequences.
  void takePlain() {
    std::size_t i = 0;
    while (i < raw_.size()) {
      if (raw_[i] == '\r') {
        ++i;
      } else if (raw_[i] != '\x1b') {
        seen_ += raw_[i++];
      } else {
        const auto end = raw_.find_first_of("ABCDEFGHIJKLMPSTfhlmrsu=>", i + 1);
        if (end == std::string::npos) break;
        i = end + 1;
      }
    }
    raw_.erase(0, i);
  }

  int master_ = -1;
  pid_t child_ = -1;
  std::string raw_;
  std::string seen_;
};

class FakeJoiner : public JoinService {
 public:
  bool reachable = true;
  int attempts = 0;

  std::vector<Endpoint> metaservers() const override { return {{"127.0.0.1", 5000}}; }
  std::string joinWord() override { return "P2P"; }

  Result<command::Topology> topology(std::stop_token) override {
    if (!reachable) return Error{ErrorCode::unavailable, "nobody"};
    return command::Topology{{{id("s1"), {"127.0.0.1", 5001}, {}}}, std::nullopt};
  }

  JoinAttempt join(const PeerId& who, const std::string& word, std::stop_token) override {
    ++attempts;
    if (!reachable && attempts == 1) {
      return {JoinAttempt::End::unavailable,
              {},
              {ErrorCode::unavailable, noMetaserverLine(metaservers())}};
    }
    if (who == id("s1")) {
      return {
          JoinAttempt::End::idRefused, {}, {ErrorCode::refused, "s1 is in the network already"}};
    }
    if (word != "P2P") return {JoinAttempt::End::wordRefused, {}, {}};
    return {JoinAttempt::End::joined,
            {who, {"127.0.0.1", 5002}, id("s1"), "./s2", 4, 3'100'000, false},
            {}};
  }
};

// What the program `peer` does around a prompt.
int peerProgram(bool reachable = true) {
  std::mutex mutex;  // a signal may come before there is a prompt
  std::unique_ptr<Prompt> prompt;
  std::unique_ptr<LineEditor> editor;
  const command::SignalWatch signals({SIGINT, SIGTERM, SIGWINCH, SIGCONT}, [&](int signal) {
    const std::lock_guard lock(mutex);
    if (!prompt) return;
    if (signal == SIGINT) prompt->interrupt();
    if (signal == SIGTERM) prompt->close();
    if (signal == SIGWINCH) editor->resized();
    if (signal == SIGCONT) editor->resumed();
  });
  {
    const std::lock_guard lock(mutex);
    editor = std::make_unique<LineEditor>(LineEditor::Settings{});
    prompt = std::make_unique<Prompt>(*editor, command::PromptSettings{});
  }
  FakeJoiner joiner;
  joiner.reachable = reachable;
  const auto joined = JoinDialogue(*prompt, joiner).join();
  if (!joined) return exitCode(joined.error().code);
  if (!*joined) return 0;
  FakePeerService service;
  service.underWay = [&] { editor->print("under way\n"); };
  const command::Dispatcher dispatcher(peerCommands(service.services()),
                                       peerNames(service.services()));
  prompt->run(dispatcher, [&] { return (*joined)->id.text() + "> "; });
  return service.stopped ? 0 : 1;
}

void join(Terminal& terminal) {
  terminal.expect("> ");
  terminal.type("1\n");
  terminal.expect("peer id> ");
  terminal.type("s2\n");
  terminal.expect("Enter to go on> ");
  terminal.type("\n");
  terminal.expect("P2P to join> ");
  terminal.type("P2P\n");
  terminal.expect("s2> ");
}

// Types `line` at the prompt; what is printed until the next.
std::string answered(Terminal& terminal, const std::string& line) {
  terminal.type(line + "\n");
  terminal.expect(line + "\n");
  auto text = terminal.expect("s2> ");
  return text.substr(0, text.size() - 4);
}

}  // namespace

TEST_CASE("the dialogue is that of the original, to the letter") {
  Terminal terminal([] { return peerProgram(); });
  CHECK(terminal.expect("> ") ==
        "1  add this peer to the network\n2  share files, once it is in the network\n> ");
  terminal.type("2\n");
  CHECK(terminal.expect("\n> ") == "2\n2 comes after 1: this peer is not in the network yet\n> ");
  terminal.type("1\n");
  CHECK(terminal.expect("peer id> ") == "1\npeer id> ");
  terminal.type("s2\n");
  CHECK(terminal.expect("on> ") == "s2\ntopo to see the network, Enter to go on> ");
  terminal.type("topo\n");
  CHECK(terminal.expect("join> ") == "topo\ns1:\nP2P to join> ");
  terminal.type("yes\n");
  CHECK(terminal.expect("to join> ") ==
        "yes\nthe metaserver refused the word \"yes\": type P2P to join\nP2P to join> ");
  terminal.type("P2P\n");
  CHECK(terminal.expect("s2> ") ==
        "P2P\ns2 joined on 127.0.0.1:5002, linked to s1; sharing 4 files (3.1 MB) from "
        "./s2\ns2> ");
  CHECK(answered(terminal, "topo") == "s1:  s2\ns2:  s1\n");
  terminal.type("2\n");
  CHECK(terminal.expect("none)> ") == "2\nfile to download (Enter for none)> ");
  terminal.type("f3.txt\n");
  CHECK(terminal.expect("s2> ") ==
        "f3.txt\nf3.txt: 12 B from s1, verified, saved as ./s2/f3.txt\ns2> ");
  terminal.type("2\n");
  terminal.expect("none)> ");
  terminal.type("f9.txt\n");
  CHECK(terminal.expect("s2> ") == "f9.txt\nf9.txt: not found (searched 2 of 2 peers)\ns2> ");
  terminal.type("2\n");
  terminal.expect("none)> ");
  terminal.type("\n");
  CHECK(terminal.expect("s2> ") == "\nothers can fetch your 5 files at any time\ns2> ");
  terminal.type("stop\n");
  CHECK(terminal.exitCode() == 0);
}

TEST_CASE("an id that is none, or taken, is asked for again") {
  Terminal terminal([] { return peerProgram(); });
  terminal.expect("> ");
  terminal.type("1\n");
  terminal.expect("peer id> ");
  terminal.type("a b\n");
  terminal.expect("\"a b\" is no peer id: it has a space or a control character\n");
  terminal.expect("peer id> ");
  terminal.type("s1\n");
  terminal.expect("Enter to go on> ");
  terminal.type("\n");
  terminal.expect("P2P to join> ");
  terminal.type("P2P\n");
  terminal.expect("s1 is in the network already\n");
  terminal.expect("peer id> ");
  terminal.type("s2\n");
  terminal.expect("s2> ");
}

TEST_CASE("without a metaserver it says what to start, and tries again at Enter") {
  Terminal terminal([] { return peerProgram(false); });
  terminal.expect("> ");
  terminal.type("1\n");
  terminal.expect("peer id> ");
  terminal.type("s2\n");
  terminal.expect("Enter to go on> ");
  terminal.type("\n");
  terminal.expect("P2P to join> ");
  terminal.type("P2P\n");
  terminal.expect(
      "no metaserver at 127.0.0.1:5000: start \"metaserver\", then press Enter to try again\n");
  terminal.type("\n");
  terminal.expect("s2> ");
}

TEST_CASE("Ctrl-D means stop, at the prompt and in the dialogue") {
  {
    Terminal terminal([] { return peerProgram(); });
    join(terminal);
    terminal.type("\x04");
    CHECK(terminal.exitCode() == 0);
  }
  Terminal terminal([] { return peerProgram(); });
  terminal.expect("> ");
  terminal.type("\x04");
  CHECK(terminal.exitCode() == 0);
}

TEST_CASE("SIGTERM ends the prompt, whatever is being typed") {
  Terminal terminal([] { return peerProgram(); });
  join(terminal);
  terminal.type("half a li");
  terminal.expect("half a li");
  ::kill(terminal.child(), SIGTERM);
  CHECK(terminal.exitCode() == 0);
}

TEST_CASE("Ctrl-C cancels the running command, else clears the line") {
  Terminal terminal([] { return peerProgram(); });
  join(terminal);
  terminal.type("nonsense");
  terminal.expect("nonsense");
  terminal.type("\x03");
  CHECK(terminal.expect("s2> ") == "^C\ns2> ");
  CHECK(answered(terminal, "topo") == "s1:  s2\ns2:  s1\n");
  terminal.type("get 'for ever'\n");
  terminal.expect("under way\n");
  ::kill(terminal.child(), SIGINT);
  CHECK(terminal.expect("s2> ").ends_with("interrupted\ns2> "));
  terminal.type("2\n");
  terminal.expect("none)> ");
  terminal.type("\x03");
  CHECK(terminal.expect("s2> ") == "^C\ninterrupted\ns2> ");
}

TEST_CASE("the Tab key completes commands and file names; the arrow brings back what was typed") {
  Terminal terminal([] { return peerProgram(); });
  join(terminal);
  terminal.type("ge\tf\t\n");
  terminal.expect("verified, saved as ./s2/f3.txt\ns2> ");
  terminal.type("\x1b[A\n");
  terminal.expect("verified, saved as ./s2/f3.txt\ns2> ");
  terminal.type("get \t");
  terminal.expect("f3.txt            two.txt           'with space.txt'\ns2> get ");
}

TEST_CASE("a choice between contents is asked for at the prompt") {
  Terminal terminal([] { return peerProgram(); });
  join(terminal);
  terminal.type("get two.txt\n");
  terminal.expect("two.txt stands for 2 different files:\n");
  terminal.expect("which one (1 to 2, Enter for none)> ");
  terminal.type("2\n");
  terminal.expect("two.txt: 7 B from s3 and s4, verified, saved as ./s2/two.txt\n");
}

TEST_CASE("the dialogue works on a dumb terminal") {
  Terminal terminal([] { return peerProgram(); }, "dumb");
  join(terminal);
  terminal.type("topo\n");
  terminal.expect("s1:  s2\ns2:  s1\n");
  terminal.expect("s2> ");
  terminal.type("stop\n");
  CHECK(terminal.exitCode() == 0);
}

// --- the editor alone

TEST_CASE("a notice appears above the line that is being typed, which stays") {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  Terminal terminal([&] {
    LineEditor editor({});
    std::jthread teller([&] {
      char c = 0;
      while (::read(told[0], &c, 1) == 1) editor.notify("s4 joined\x1b[2J");
    });
    const auto line = editor.read("s2> ");
    editor.print("got " + line.text + "\n");
    ::close(told[1]);
    return 0;
  });
  terminal.expect("s2> ");
  terminal.type("größ");
  terminal.expect("größ");
  REQUIRE(::write(told[1], "x", 1) == 1);
  CHECK(terminal.expect("s2> größ") == "s4 joined\\x1b[2J\ns2> größ");
  terminal.type("e\n");
  terminal.expect("got größe\n");
  ::close(told[0]);
  ::close(told[1]);
  CHECK(terminal.exitCode() == 0);
}

TEST_CASE("a stopped terminal holds up neither notices nor the end") {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  Terminal terminal([&] {
    {
      LineEditor editor({});
      std::jthread reader([&] { editor.read("s2> "); });
      char c = 0;
      if (::read(told[0], &c, 1) != 1) return 1;
      // Far more than the terminal takes, and than is kept.
      const std::string line(1000, 'x');
      for (std::size_t i = 0; i < 2 * limits::kNoticesQueued; ++i) editor.notify(line);
      editor.close();
    }
    return 7;
  });
  terminal.expect("s2> ");
  terminal.type("\x13");  // Ctrl-S
  // Its effect is at once, since the terminal's input is handled when it is written.
  REQUIRE(::write(told[1], "x", 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(terminal.child(), &status, 0) == terminal.child());
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
  ::close(told[0]);
  ::close(told[1]);
}

TEST_CASE("without a terminal plain lines are read, and no prompt is printed") {
  int in[2];
  int out[2];
  REQUIRE(::pipe(in) == 0);
  REQUIRE(::pipe(out) == 0);
  const std::string typed = "one\r\ntwo\nthree";
  REQUIRE(::write(in[1], typed.data(), typed.size()) == static_cast<ssize_t>(typed.size()));
  ::close(in[1]);
  {
    LineEditor editor({in[0], out[1], ""});
    CHECK_FALSE(editor.isTerminal());
    for (const auto* expected : {"one", "two", "three"}) {
      const auto line = editor.read("s2> ");
      CHECK(line.end == LineEditor::End::line);
      CHECK(line.text == expected);
      editor.print(line.text + "!\n");
    }
    CHECK(editor.read("s2> ").end == LineEditor::End::ended);
    CHECK_FALSE(editor.interrupt());
  }
  ::close(out[1]);
  char printed[100];
  const auto size = ::read(out[0], printed, sizeof printed);
  CHECK(std::string(printed, static_cast<std::size_t>(size)) == "one!\ntwo!\nthree!\n");
  ::close(in[0]);
  ::close(out[0]);
}

TEST_CASE("close ends a question that waits") {
  int in[2];
  REQUIRE(::pipe(in) == 0);
  LineEditor editor({in[0], 2, ""});
  std::jthread closer([&] { editor.close(); });
  CHECK(editor.read("s2> ").end == LineEditor::End::ended);
  closer.join();
  ::close(in[0]);
  ::close(in[1]);
}
