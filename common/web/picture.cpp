#include "common/web/picture.h"

namespace espalier::web {
namespace {

std::string quoted(const std::string& text) {
  return lineOf(text);
}

const Group& groupOf(const Picture& picture, const std::string& name) {
  static const Group none;
  const auto found = picture.find(name);
  return found == picture.end() ? none : found->second;
}

}  // namespace

std::string lineOf(const command::Json& data) {
  return data.dump(-1, ' ', false, command::Json::error_handler_t::replace);
}

void eachChange(const Picture& from, const Picture& to,
                const std::function<void(const Change&)>& take) {
  for (const auto& [name, old] : from) {
    const Group& now = groupOf(to, name);
    for (const auto& [key, value] : old) {
      if (!now.contains(key)) take({name, key, nullptr});
    }
  }
  for (const auto& [name, now] : to) {
    const Group& old = groupOf(from, name);
    for (const auto& [key, value] : now) {
      const auto before = old.find(key);
      if (before == old.end() || before->second != value) take({name, key, &value});
    }
  }
}

std::string kindOf(const Change& change) {
  return change.value == nullptr ? "gone" : "set";
}

std::string jsonOf(const Change& change) {
  std::string text = "{\"in\":" + quoted(change.group) + ",\"key\":" + quoted(change.key);
  if (change.value != nullptr) text += ",\"value\":" + *change.value;
  return text + "}";
}

std::string jsonOf(const Picture& picture) {
  std::string text = "{";
  for (const auto& [name, group] : picture) {
    if (text.size() > 1) text += ',';
    text += quoted(name) + ":{";
    bool isFirst = true;
    for (const auto& [key, value] : group) {
      if (!isFirst) text += ',';
      isFirst = false;
      text += quoted(key) + ":" + value;
    }
    text += '}';
  }
  return text + "}";
}

}  // namespace espalier::web
