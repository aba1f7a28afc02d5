slm_test(core_test
  SOURCES core/half_test.cc core/json_test.cc core/memory_test.cc
          core/sha256_test.cc core/shape_test.cc core/threads_test.cc
          core/utf8_test.cc
  LINKS slm_core slm_json)
