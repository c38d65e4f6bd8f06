// The values that an option can take: each function checks a text and stores it in its target.
//
// Checking and storing are two steps. Every source of options is checked (options.h), but only the
// value of the source that wins is stored.
//
// A target outlives the parsing. Used by the tables of options of both programs. Errors have the
// code `usage` and say what is wrong with the value.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/result.h"

namespace espalier::command {

// Stores a value that was checked.
using Assign = std::function<void()>;

// Checks a value. Returns a function that stores it, or the error: "\"x\" is no number from 2 to
// 64".
using Store = std::function<Result<Assign>(std::string_view value)>;

// The Store of a type that `parse` makes of a text: Result<T> parse(std::string_view).
template <typename T, typename Parse>
Store storeParsed(T& target, Parse parse) {
  return [&target, parse = std::move(parse)](std::string_view text) -> Result<Assign> {
    auto value = parse(text);
    if (!value) return value.error();
    return Assign([&target, value = *std::move(value)] { target = value; });
  };
}

Store storeText(std::string& target, std::size_t maxBytes);
Store storeYes(bool& target);
// Appends each value, in the order of the command line.
Store storeAll(std::vector<std::string>& target);
Store storeEndpoint(Endpoint& target);
Store storeOneOf(std::string& target, std::vector<std::string> choices);
Store storeLogLevel(log::Level& target);
Store storePeerId(PeerId& target);

Result<std::uint64_t> parseNumber(std::string_view text, std::uint64_t least, std::uint64_t most);

template <std::unsigned_integral T>
Store storeNumber(T& target, std::type_identity_t<T> least, std::type_identity_t<T> most) {
  return storeParsed(target, [least, most](std::string_view text) -> Result<T> {
    const auto number = parseNumber(text, least, most);
    if (!number) return number.error();
    return static_cast<T>(*number);
  });
}

// 500, 20K, 10G: powers of 1000.
Result<std::uint64_t> parseSize(std::string_view text, std::uint64_t most);

// 500ms, 30s, 5min, 2h
Result<std::chrono::milliseconds> parseDuration(std::string_view text,
                                                std::chrono::milliseconds least,
                                                std::chrono::milliseconds most);

// Calls `take` with each part of a list with commas between them. Ends at the first error.
Result<void> eachPart(std::string_view list,
                      const std::function<Result<void>(std::string_view part)>& take);

}  // namespace espalier::command
