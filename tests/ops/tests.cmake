slm_test(contrib_cases_test
  SOURCES ops/contrib_cases_test.cc
  LINKS slm_ops)
