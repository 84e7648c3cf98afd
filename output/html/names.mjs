// What a frame's text says: its field, its type, its package; and shorter ways to write it.
//
// A frame is "field. (type)", "$sub_objects$ (type)", or a name: "github.com/a/b.cache",
// "main.(*server).serve.conn". Types have their package's name, variables and functions its import path.

// Steps that have no name of their own: what they lead to says more.
const PSEUDO = /^(\$mapkey|\$mapval|\$elem|\[\]|\[\d+\+?\]|\$sub_objects\$)$/;

// { field, type }; type "": none is said.
export function frameParts(frame) {
	const m = /^(.*?)(\.)? \((.+)\)$/.exec(frame);
	return m ? { field: m[1], type: m[3] } : { field: frame, type: "" };
}

// An import path's package: its last element that is no version.
function pathPackage(path) {
	const parts = decodeURI(path.replace(/%(?!2e|22|25)/g, "%25")).split("/");
	while (parts.length > 1 && /^v\d+$/.test(parts[parts.length - 1]))
		parts.pop();
	return parts[parts.length - 1].replace(/\.v\d+$/, "");
}

// "github.com/a/b/v2.(*T).f" -> { path: "github.com/a/b/v2", rest: "(*T).f" }; null: no such name.
export function nameParts(name) {
	// What is in brackets or parentheses may hold slashes of its own.
	const head = /^[^([ ]*/.exec(name)[0];
	const slash = head.lastIndexOf("/");
	const dot = name.indexOf(".", slash + 1);
	if (dot <= 0 || dot > head.length || /^[[.$]/.test(name))
		return null;
	return { path: name.slice(0, dot), rest: name.slice(dot + 1) };
}

// The package that a frame is of, by its short name; "": that of what holds it.
export function framePackage(frame) {
	const { field, type } = frameParts(frame);
	if (type) {
		const inside = / = (.+)$/.exec(type);
		const m = /([A-Za-z_][\w-]*)\.[A-Za-z_(]/.exec(inside ? inside[1] : type);
		if (m)
			return m[1];
		if (!/^\.\w+\+0x/.test(field))
			return nameParts(field) && field.includes(".") ? pathPackage(nameParts(field).path) : "";
		return "";
	}
	const name = nameParts(frame);
	return name ? pathPackage(name.path) : "";
}

// "map[string]*main.Item" -> "map[string]*Item"
function withoutPackages(type) {
	return type.replace(/(?:[\w%~-]+(?:\.[\w%~-]+)*\/)*[\w-]+\.(?=[A-Za-z_(])/g, "");
}

// "github.com/a/b.cache" -> "b.cache"
export function shortName(name) {
	const parts = nameParts(name);
	return parts ? `${pathPackage(parts.path)}.${parts.rest}` : name;
}

// The frame's text, and shorter ones: the package goes first, then the type; the field stays whole.
export function frameLabels(frame) {
	const { field, type } = frameParts(frame);
	const labels = [frame];
	if (!type) {
		const parts = nameParts(frame);
		if (parts)
			labels.push(shortName(frame), parts.rest);
	} else if (PSEUDO.test(field)) {
		labels.push(`${field} (${withoutPackages(type)})`, withoutPackages(type), field);
	} else {
		labels.push(`${shortName(field)} (${withoutPackages(type)})`, shortName(field));
		const parts = nameParts(field);
		if (parts)
			labels.push(parts.rest);
	}
	return labels.filter((text, i) => i === 0 || text.length < labels[i - 1].length);
}
