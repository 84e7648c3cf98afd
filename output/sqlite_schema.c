/*
 * The tables, indexes and views of a *.sqlite.  Names here are a contract, as JSON's are: new ones
 * are added, none changes its meaning.  docs/SQL.md describes them.
 */
#include "output/sqlite_schema.h"

const char sqlite_tables[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL, objects INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, retained INTEGER NOT NULL);"
	"CREATE TABLE fields (id INTEGER PRIMARY KEY, name TEXT NOT NULL);"
	"CREATE TABLE objects (id INTEGER PRIMARY KEY, address INTEGER,"
	" type INTEGER REFERENCES types, bytes INTEGER, root INTEGER REFERENCES roots,"
	" parent INTEGER, dominator INTEGER, retained INTEGER);"
	"CREATE TABLE edges (source INTEGER, offset INTEGER, target INTEGER,"
	" field INTEGER REFERENCES fields, PRIMARY KEY (source, offset)) WITHOUT ROWID;"
	"CREATE TABLE roots (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL,"
	" goroutine INTEGER, parent INTEGER REFERENCES roots, retained INTEGER NOT NULL);"
	"CREATE TABLE root_names (name TEXT NOT NULL, kind TEXT NOT NULL, objects INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, retained INTEGER);"
	"CREATE TABLE goroutines (id INTEGER PRIMARY KEY, function TEXT NOT NULL,"
	" count INTEGER NOT NULL, state TEXT NOT NULL, verdict TEXT NOT NULL,"
	" goroutine INTEGER NOT NULL, wait_ns_min INTEGER NOT NULL, wait_ns_max INTEGER NOT NULL,"
	" stack_bytes INTEGER NOT NULL, alone_bytes INTEGER NOT NULL, created_by TEXT,"
	" created_file TEXT, created_line INTEGER);"
	"CREATE TABLE frames (goroutines INTEGER NOT NULL REFERENCES goroutines,"
	" depth INTEGER NOT NULL, function TEXT NOT NULL, file TEXT, line INTEGER,"
	" PRIMARY KEY (goroutines, depth)) WITHOUT ROWID;"
	"CREATE TABLE tree (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree,"
	" frame TEXT NOT NULL, bytes INTEGER NOT NULL, objects INTEGER NOT NULL,"
	" retained INTEGER);";

const char sqlite_indexes[] = "CREATE INDEX objects_type ON objects (type);"
			      "CREATE INDEX objects_dominator ON objects (dominator);"
			      "CREATE INDEX edges_target ON edges (target);";

const char sqlite_views[] =
	/* what there is most of */
	"CREATE VIEW type_histogram AS SELECT name AS type, objects, bytes, retained"
	" FROM types ORDER BY bytes DESC;"
	/* single objects that keep most */
	"CREATE VIEW biggest_objects AS SELECT o.id, printf('0x%x', o.address) AS address,"
	" t.name AS type, o.bytes, o.retained, r.name AS root FROM objects o"
	" JOIN types t ON t.id = o.type LEFT JOIN roots r ON r.id = o.root"
	" ORDER BY o.retained DESC;"
	/* who keeps the memory */
	"CREATE VIEW root_sizes AS SELECT name, kind, objects, bytes, retained FROM root_names"
	" ORDER BY bytes DESC;"
	/* of which types is what hangs on a root */
	"CREATE VIEW root_types AS SELECT r.name AS root, r.kind, t.name AS type,"
	" count(*) AS objects, sum(o.bytes) AS bytes FROM objects o JOIN types t ON t.id = o.type"
	" JOIN roots r ON r.id = o.root GROUP BY r.name, r.kind, t.id;"
	/* who points to an object, and by which field */
	"CREATE VIEW referrers AS SELECT e.target, e.source, f.name AS field,"
	" coalesce(t.name, r.kind) AS type, r.name AS root FROM edges e"
	" JOIN fields f ON f.id = e.field LEFT JOIN objects o ON o.id = e.source"
	" LEFT JOIN types t ON t.id = o.type LEFT JOIN roots r ON r.id = e.source;"
	/* what an object points to */
	"CREATE VIEW referents AS SELECT e.source, e.offset, f.name AS field, e.target,"
	" t.name AS type, o.bytes, o.retained FROM edges e JOIN fields f ON f.id = e.field"
	" JOIN objects o ON o.id = e.target JOIN types t ON t.id = o.type;"
	/* which fields lead to most */
	"CREATE VIEW field_sizes AS SELECT t.name AS type, f.name AS field, u.name AS target,"
	" count(*) AS pointers, count(DISTINCT e.target) AS objects FROM edges e"
	" JOIN objects o ON o.id = e.source JOIN types t ON t.id = o.type"
	" JOIN fields f ON f.id = e.field JOIN objects p ON p.id = e.target"
	" JOIN types u ON u.id = p.type GROUP BY t.id, f.id, u.id;"
	/* below which object, or root, are there many of a kind */
	"CREATE VIEW accumulations AS SELECT o.dominator, t.name AS type, count(*) AS objects,"
	" sum(o.retained) AS retained FROM objects o JOIN types t ON t.id = o.type"
	" WHERE o.dominator > 0 GROUP BY o.dominator, o.type;"
	/* the tree of paths, as text */
	"CREATE VIEW tree_paths AS WITH RECURSIVE walk (id, depth, path) AS ("
	" SELECT id, 1, frame FROM tree WHERE parent IS NULL"
	" UNION ALL SELECT t.id, w.depth + 1, w.path || ';' || t.frame"
	" FROM tree t JOIN walk w ON t.parent = w.id)"
	" SELECT t.id, w.depth, w.path, t.bytes, t.objects, t.retained"
	" FROM walk w JOIN tree t ON t.id = w.id;"
	/* goroutines, and where they are */
	"CREATE VIEW goroutine_groups AS SELECT g.id, g.count, g.function, g.state, g.verdict,"
	" g.stack_bytes, g.alone_bytes, f.file, f.line, g.created_by, g.created_file,"
	" g.created_line FROM goroutines g LEFT JOIN frames f ON f.goroutines = g.id"
	" AND f.depth = (SELECT min(depth) FROM frames WHERE goroutines = g.id"
	" AND function = g.function) ORDER BY g.count DESC;";
