// A file with runs of a simulation program: each line has the options of one, `#` begins a comment.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace espalier::simulation {

using Words = std::vector<std::string>;

// The options of each run; none if the file cannot be read.
inline std::vector<Words> readRuns(const std::string& path) {
  std::vector<Words> runs;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream text(line.substr(0, line.find('#')));
    Words words;
    for (std::string word; text >> word;) words.push_back(word);
    if (!words.empty()) runs.push_back(std::move(words));
  }
  return runs;
}

}  // namespace espalier::simulation
