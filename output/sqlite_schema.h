/* The tables of a *.sqlite, and what is made of them (docs/SQL.md). */
#ifndef GRF_OUTPUT_SQLITE_SCHEMA_H
#define GRF_OUTPUT_SQLITE_SCHEMA_H

extern const char sqlite_tables[];
extern const char sqlite_indexes[]; /* when the tables are full */
extern const char sqlite_views[];

#endif
