// SPDX-License-Identifier: MIT
// Names of models: which folder of those that are found a name means.
#include "loader/models.h"

#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/temporary_folder.h"

namespace slm {
namespace {

constexpr const char* kGenAi =
    R"({"model": {"decoder": {"filename": "model.onnx"}}})";

class Models : public TemporaryFolder {
 protected:
  // A model that can run, with the Name of its inference_model.json if any.
  void Make(const std::string& folder, const std::string& name = "") {
    Write(folder + "/genai_config.json", kGenAi);
    Write(folder + "/model.onnx");
    Write(folder + "/tokenizer.json");
    if (!name.empty()) Name(folder, name);
  }
  void Name(const std::string& folder, const std::string& name) {
    Write(folder + "/inference_model.json", R"({"Name": ")" + name + "\"}");
  }
  ModelCatalog Find(const std::vector<std::string>& roots) const {
    std::vector<ModelRoot> list;
    for (const std::string& root : roots) {
      list.push_back({root_ + "/" + root, "a test"});
    }
    return FindModels(list);
  }
  // The folder below the temporary one, or the message.
  std::string Pick(const std::vector<std::string>& roots,
                   const std::string& name) const {
    const auto found = PickModel(Find(roots), name);
    if (!found.ok()) return found.status().message();
    return found->folder.substr(root_.size() + 1);
  }
};

TEST_F(Models, ANameIsTheFilesOrTheFoldersAndFoundrysVersionIsANumber) {
  Make("a/Publisher/phi-4-mini-cpu-9/v9", "phi-4-mini-cpu:9");
  Make("a/Publisher/phi-4-mini-cpu-10/v10", "phi-4-mini-cpu:10");
  Make("a/custom/my-model/onnx");
  Write("a/foundry.modelinfo.json",
        R"({"models": [{"id": "phi-4-mini-cpu:9", "alias": "phi-4-mini"}]})");
  struct Case {
    const char* name;
    const char* folder;
  };
  constexpr const char* kNine = "a/Publisher/phi-4-mini-cpu-9/v9";
  constexpr const char* kTen = "a/Publisher/phi-4-mini-cpu-10/v10";
  constexpr Case kCases[] = {
      {"phi-4-mini-cpu", kTen},  // 10 is after 9
      {"phi-4-mini-cpu:9", kNine},
      {"phi-4-mini-cpu:10", kTen},
      {"PHI-4-mini-CPU:9", kNine},
      {"phi-4-mini", kNine},  // of the catalogue
      {"phi-4-mini-cpu-9", kNine},
      {"my-model", "a/custom/my-model/onnx"},
      {"my-model:0", "a/custom/my-model/onnx"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Pick({"a"}, c.name), c.folder);
}

TEST_F(Models, AnExactCaseComesBeforeAnother) {
  Make("a/one", "Tea");
  Make("a/two", "tea");
  EXPECT_EQ(Pick({"a"}, "Tea"), "a/one");
  EXPECT_EQ(Pick({"a"}, "tea"), "a/two");
  EXPECT_NE(Pick({"a"}, "TEA").find("the name of several models"),
            std::string::npos);
}

TEST_F(Models, TheFirstRootCountsUnlessItsModelCannotRun) {
  Make("a/x", "tea");
  Make("b/x", "tea");
  EXPECT_EQ(Pick({"a", "b"}, "tea"), "a/x");
  EXPECT_EQ(Pick({"b", "a"}, "tea"), "b/x");
  std::filesystem::remove(root_ + "/a/x/tokenizer.json");
  EXPECT_EQ(Pick({"a", "b"}, "tea"), "b/x");
  const std::string alone = Pick({"a"}, "tea");
  EXPECT_NE(alone.find("lacks tokenizer.json"), std::string::npos) << alone;
}

TEST_F(Models, TwoOfOneNameInOnePlaceAreRefused) {
  Make("a/one", "tea");
  Make("a/two", "tea");
  const auto found = PickModel(Find({"a"}), "tea");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().kind(), ErrorKind::kUsage);
  EXPECT_EQ(Pick({"a"}, "one"), "a/one");
}

TEST_F(Models, TheFolderAroundGivesTheName) {
  Name("a/custom/tea", "green-tea:2");
  Make("a/custom/tea/onnx");
  EXPECT_EQ(Pick({"a"}, "green-tea:2"), "a/custom/tea/onnx");
  EXPECT_EQ(Find({"a"}).models.size(), 1u);
}

TEST_F(Models, WhatIsNamedAndHasNoFilesIsListedAndSaysWhatItLacks) {
  Name("a/custom/tea", "tea");
  Make("a/tea/onnx");
  const ModelCatalog catalog = Find({"a"});
  ASSERT_EQ(catalog.models.size(), 2u);
  const auto found = PickModel(catalog, "tea:0");
  // By its folder's name "tea", too: the one that runs comes first.
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->folder, root_ + "/a/tea/onnx");
  std::filesystem::remove_all(root_ + "/a/tea");
  const std::string message = Pick({"a"}, "tea");
  for (const char* part :
       {"genai_config.json", "model.onnx", "tokenizer.json"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST_F(Models, DownloadsThatAreNotCompleteAreLeftOutWithANote) {
  Make("a/tea");
  Write("a/tea/download.tmp");
  const ModelCatalog catalog = Find({"a"});
  EXPECT_TRUE(catalog.models.empty());
  ASSERT_EQ(catalog.notes.size(), 1u);
  EXPECT_NE(catalog.notes[0].find("download.tmp"), std::string::npos);
}

TEST_F(Models, LinksInARingAndDepthEnd) {
  Make("a/tea");
  std::filesystem::create_directory_symlink(root_ + "/a", root_ + "/a/again");
  std::string deep = "a";
  for (int i = 0; i < 9; ++i) deep += "/d";
  Make(deep);
  const ModelCatalog catalog = Find({"a"});
  EXPECT_EQ(catalog.models.size(), 1u);
  ASSERT_EQ(catalog.notes.size(), 1u);
  EXPECT_NE(catalog.notes[0].find("levels deep"), std::string::npos);
}

TEST_F(Models, NamesFromFilesArePrintedHarmlessly) {
  Make("a/tea", R"(tea\u001b[2J\nerror)");
  const std::string message = Pick({"a"}, "nothing");
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace
}  // namespace slm
