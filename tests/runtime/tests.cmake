slm_test(search_test
  SOURCES runtime/search_golden_test.cc
  LINKS slm_search)
