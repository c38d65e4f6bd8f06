// Times of day in the texts and JSON of commands. Pure functions of milliseconds since 1970.
#pragma once

#include <chrono>
#include <string>

namespace espalier::command {

std::string isoTime(std::chrono::milliseconds at);    // 2026-11-30T12:02:00Z
std::string localTime(std::chrono::milliseconds at);  // 2026-11-30 12:02

}  // namespace espalier::command
