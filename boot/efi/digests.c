/*
 * Digests of files: see digests.h. Called by files.c; no state.
 *
 * The text comes from the signed loader, so it is trusted to be complete, but it is read with the
 * same care as everything else.
 */
#include "boot/efi/digests.h"
#include "boot/efi/sha256.h"
#include "hv/lib/bytes.h"

enum pe {
	PE_OFFSET = 0x3c,
	PE_SECTIONS = 6,
	PE_OPTIONAL_SIZE = 20,
	PE_HEADER = 24, /* with the signature */
	SECTION_SIZE = 40,
	SECTION_VIRTUAL_SIZE = 8,
	SECTION_VIRTUAL_ADDRESS = 12,
};

bool digests_find(struct digests *d, const void *image, uint64_t size)
{
	static const char name[8] = ".digests";
	const uint8_t *p = image;
	uint64_t pe, table;
	uint16_t sections;

	*d = (struct digests){NULL, 0};
	if (size < PE_OFFSET + 4) {
		return false;
	}
	pe = get_le32(p + PE_OFFSET);
	if (!bytes_within(pe, PE_HEADER, size) || memcmp(p + pe, "PE\0", 4) != 0) {
		return false;
	}
	sections = get_le16(p + pe + PE_SECTIONS);
	table = pe + PE_HEADER + get_le16(p + pe + PE_OPTIONAL_SIZE);
	if (!bytes_within(table, (uint64_t)sections * SECTION_SIZE, size)) {
		return false;
	}
	for (uint64_t at = table; sections; sections--, at += SECTION_SIZE) {
		uint32_t len = get_le32(p + at + SECTION_VIRTUAL_SIZE);
		uint32_t where = get_le32(p + at + SECTION_VIRTUAL_ADDRESS);

		if (memcmp(p + at, name, sizeof(name)) == 0 && bytes_within(where, len, size)) {
			*d = (struct digests){(const char *)p + where, len};
			return true;
		}
	}
	return false;
}

/* A line "<64 hex digits>  NAME" for this name. */
static bool read_line(const char *line, size_t len, const char *name, uint8_t out[SHA256_SIZE])
{
	const size_t digits = 2 * SHA256_SIZE, name_at = digits + 2;

	if (len != name_at + strlen(name) || memcmp(line + name_at, name, len - name_at) != 0 ||
	    line[digits] != ' ') {
		return false;
	}
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		int high = hex_digit(line[2 * i]), low = hex_digit(line[2 * i + 1]);

		if (high < 0 || low < 0) {
			return false;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool find_line(const struct digests *d, const char *name, uint8_t out[SHA256_SIZE])
{
	const char *s = d->text, *end = d->text + d->size;

	while (s < end) {
		size_t len = 0;

		while (s + len < end && s[len] != '\n') {
			len++;
		}
		if (read_line(s, len, name, out)) {
			return true;
		}
		s += len + 1;
	}
	return false;
}

bool digests_check(const struct digests *d, const char *name, const void *data, uint64_t size,
		   struct refusal *r)
{
	uint8_t wanted[SHA256_SIZE], is[SHA256_SIZE];

	if (!find_line(d, name, wanted)) {
		return refuse(r, "%s: this loader was signed without it; sign the image again",
			      name);
	}
	sha256(is, data, size);
	if (memcmp(is, wanted, sizeof(is)) != 0) {
		return refuse(r,
			      "%s: changed since this loader was signed (its SHA-256 differs); "
			      "sign the image again",
			      name);
	}
	return true;
}
