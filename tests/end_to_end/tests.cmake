slm_test(model_fixtures_test
  SOURCES end_to_end/model_fixtures_test.cc
  LINKS slm_runtime)
