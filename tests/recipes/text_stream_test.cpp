#include "recipes/engine/text_stream.h"

#include <gtest/gtest.h>

namespace heed::recipes {
namespace {

TEST(TextStream, HandsOutWholeCharacters) {
  TextStream stream({});
  EXPECT_EQ(stream.push("a\xE2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xAC"
                        "b"),
            "\xE2\x82\xAC"
            "b");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.text(),
            "a\xE2\x82\xAC"
            "b");
}

TEST(TextStream, BrokenCharactersAreReplacedAndDoNotBlock) {
  TextStream stream({});
  EXPECT_EQ(stream.push("\xE2x"), "\xEF\xBF\xBDx");
  EXPECT_EQ(stream.push("\xF0\x9F"), "");
  EXPECT_FALSE(stream.finish().empty());
}

TEST(TextStream, StopsAtAStopTextAcrossTokens) {
  TextStream stream({"END", ""});
  EXPECT_EQ(stream.push("one E"), "one ");
  EXPECT_EQ(stream.push("N"), "");
  EXPECT_EQ(stream.push("D two"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("three"), "");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.text(), "one ");
}

TEST(TextStream, WhatOnlyLooksLikeAStopTextComesAfterAll) {
  TextStream stream({"END"});
  EXPECT_EQ(stream.push("E"), "");
  EXPECT_EQ(stream.push("N"), "");
  EXPECT_EQ(stream.push("X"), "ENX");
  EXPECT_EQ(stream.push("EN"), "");
  EXPECT_EQ(stream.finish(), "EN");
  EXPECT_FALSE(stream.stopped());
}

TEST(TextStream, TheEarliestStopTextWins) {
  TextStream stream({"later", "a"});
  EXPECT_EQ(stream.push("xa later"), "x");
  EXPECT_TRUE(stream.stopped());
}

}  // namespace
}  // namespace heed::recipes
