#include "peer/shell/feedback_commands.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/statistics_command.h"

namespace espalier::peer::shell {
namespace {

using command::Arguments;
using command::Command;
using command::Context;
using command::Json;
using command::Kind;
using command::Outcome;

struct RateOutcome {
  unsigned score = 0;
};

void addMembers(Json& data, const RateOutcome& outcome) {
  data["score"] = outcome.score;
}

std::string textOf(const RateOutcome& outcome) {
  return fmt::format("rated the service {} of 5\n", outcome.score);
}

Command rateCommand(FeedbackService& service) {
  Command command{.name = "rate",
                  .usage = "rate 1…5 [TEXT…]",
                  .summary = "rate the service from 1 to 5, once a session",
                  .details = "The metaserver keeps the rating with its time and this peer's id.",
                  .minValues = 1,
                  .maxValues = limits::kCommandWords,
                  .kinds = {Kind::text}};
  command.handler = [&service](const Arguments& arguments, Context& context) {
    const auto& values = arguments.values;
    const bool isScore = values[0].size() == 1 && values[0][0] >= '1' && values[0][0] <= '5';
    if (!isScore) {
      return Outcome::failed("rate", {ErrorCode::usage, fmt::format("{} is no rating from 1 to 5",
                                                                    escaped(values[0]))});
    }
    std::string text;
    for (std::size_t i = 1; i < values.size(); ++i) {
      if (i > 1) text += ' ';
      text += values[i];
    }
    if (text.size() > limits::kRatingBytes || !isUtf8(text)) {
      return Outcome::failed("rate",
                             {ErrorCode::usage, fmt::format("the text is not UTF-8, or longer than "
                                                            "{} bytes",
                                                            limits::kRatingBytes)});
    }
    const auto score = static_cast<unsigned>(values[0][0] - '0');
    const auto rated = service.rate(score, text, context.stop);
    if (!rated) return Outcome::failed("rate", rated.error());
    return Outcome::done("rate", RateOutcome{score});
  };
  return command;
}

}  // namespace

std::vector<Command> feedbackCommands(FeedbackService& service) {
  return {rateCommand(service),
          command::statsCommand([&service](std::size_t days, std::stop_token stop) {
            return service.statistics(days, std::move(stop));
          })};
}

}  // namespace espalier::peer::shell
