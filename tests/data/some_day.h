// The time that chat templates are told, here and in tests/interop/chat_check.py.
#pragma once

#include <ctime>

namespace heed::data::chat {

/// Saturday, 7 March 2026, 14:05:09.
inline std::tm some_day() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mon = 2;
  now.tm_mday = 7;
  now.tm_hour = 14;
  now.tm_min = 5;
  now.tm_sec = 9;
  std::mktime(&now);
  return now;
}

}  // namespace heed::data::chat
