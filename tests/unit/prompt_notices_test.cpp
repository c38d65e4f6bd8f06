// What the prompt prints of the events of a peer.
#include "peer/shell/prompt_notices.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "common/base/log.h"

namespace espalier::peer::shell {
namespace {

// A line editor without a terminal, whose output is read from a pipe.
class PipedEditor {
 public:
  PipedEditor() {
    REQUIRE(::pipe(input_.data()) == 0);
    REQUIRE(::pipe(output_.data()) == 0);
    editor_.emplace(command::LineEditor::Settings{input_[0], output_[1], {}});
  }
  ~PipedEditor() {
    editor_.reset();
    for (const int end : {input_[0], input_[1], output_[0], output_[1]}) ::close(end);
  }
  command::LineEditor& editor() { return *editor_; }

  // All that was printed. Ends the editor.
  std::string printed() {
    editor_.reset();
    std::array<char, 4096> buffer{};
    const auto size = ::read(output_[0], buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  std::array<int, 2> input_{};
  std::array<int, 2> output_{};
  std::optional<command::LineEditor> editor_;
};

struct RestoreLog {
  log::Level level = log::Level::info;
  RestoreLog() { log::setLevel(level); }
  ~RestoreLog() {
    log::setSink(nullptr, nullptr);
    log::setLevel(log::Level::error);
  }
};

TEST_CASE(
    "log lines reach the prompt through the bus, other events only if they are for the user") {
  const RestoreLog restore;
  EventBus bus;
  PromptNotices notices(bus);
  EventBus::Subscription lines(bus, kindsOf<LogLine>());
  bus.publish(LogLine{"before there is a prompt"});
  PipedEditor piped;
  notices.show(piped.editor());

  log::info("s4 joined");
  bus.publish(LinkUp{"s4"});
  bus.publish(LogLine{"published"});
  notices.hide();
  bus.publish(LogLine{"after the prompt"});

  const std::string printed = piped.printed();
  CHECK(printed.find("s4 joined\npublished\n") != std::string::npos);
  CHECK(printed.find("prompt") == std::string::npos);
  REQUIRE(lines.next({}, Clock::now()));
  CHECK(std::get<LogLine>(*lines.next({}, Clock::now())).text.ends_with(" s4 joined"));
}

TEST_CASE("a private message is one line that cannot control the terminal") {
  const auto lineOf = [](const std::string& text, bool isOther = false) {
    return PromptNotices::textOf(PrivateReceived{"s4", text, {}, isOther});
  };
  CHECK(lineOf("hi") == "s4 (private): hi");
  CHECK(lineOf("a\nb\x1b[2J\u202e") == "s4 (private): a\\nb\\x1b[2J\\u{202e}");
  CHECK(lineOf("hi", true) == "s4 (private, another peer than before): hi");
}

TEST_CASE("what is said in a room is one line that cannot control the terminal") {
  RoomHappened event;
  event.room = "fleece";
  event.from = "s4";
  event.text = "a\nb\x1b[2J\u202e";
  CHECK(PromptNotices::textOf(event) == "fleece  s4: a\\nb\\x1b[2J\\u{202e}");
  event.isOwn = true;
  CHECK_FALSE(PromptNotices::textOf(event));
  event = {};
  event.kind = RoomHappened::Kind::missing;
  event.room = "fleece";
  event.number = 17;
  event.lastNumber = 19;
  CHECK(PromptNotices::textOf(event)->starts_with("fleece: messages 17 to 19 are missing, sent "));
}

TEST_CASE("the bell rings for what is meant for the user, and rarely") {
  EventBus bus;
  PromptNotices notices(bus, true);
  PipedEditor piped;
  notices.show(piped.editor());
  RoomHappened event;
  event.room = "fleece";
  event.from = "s4";
  event.text = "hello";
  bus.publish(event);
  event.text = "hello, s2";
  event.namesUser = true;
  for (int i = 0; i < 5; ++i) bus.publish(event);
  bus.publish(PrivateReceived{"s4", "hi", {}, false});
  notices.hide();
  log::setSink(nullptr, nullptr);
  const auto printed = piped.printed();
  CHECK(std::count(printed.begin(), printed.end(), '\a') == 1);
  CHECK(printed.find("hello\nfleece") != std::string::npos);
}

}  // namespace
}  // namespace espalier::peer::shell
