/*
 * The version of the JSON that output/json.c writes (docs/grf-rsp.schema.json) and that
 * heap/report/growth_json.c reads.  A member that is added leaves it as it is; one that changes its
 * meaning or goes away is a new number, and files of the old one are still read.
 */
#ifndef GRF_HEAP_PROFILE_SCHEMA_H
#define GRF_HEAP_PROFILE_SCHEMA_H

#define JSON_SCHEMA "grf-rsp/1"

#endif
