"""Days of time zones: Python's `zoneinfo` says when each date begins in each zone.

    zones.py check DAYS DATABASE   compares every zone and date, 1970 to 2037, with what the program DAYS writes
                                   (native/ad_tally_core/examples/days.rs); `bin/soak zones` runs it
    zones.py golden                writes native/ad_tally_core/tests/golden/days.txt

DATABASE is a folder of zones, which both read, or `bundled`: then DAYS reads the database that is built into it, and
Python the package tzdata, which has to be of the same release.

`zoneinfo` only says what clocks show at a moment. A date's first moment is computed here from the changes of clocks, and then
`zoneinfo` is asked whether it is on that date and the second before is on an earlier one.
"""

import subprocess
import sys
import zoneinfo
from array import array
from datetime import date, datetime, timedelta, timezone
from multiprocessing import Pool

EPOCH, DAY = date(1970, 1, 1), 86_400
LAST = (date(2037, 12, 31) - EPOCH).days
# The day after the last one begins where that ends.
DATES = LAST + 2
# There are no two changes of clocks in less time that cancel each other.
STEP = 43_200

GOLDEN = {
    "Africa/Cairo": [1975, 1982, 2010, 2014, 2023, 2024],
    "Africa/Casablanca": [2018, 2020],
    "Africa/Monrovia": [1972],
    "America/Asuncion": [1991, 2005, 2024],
    "America/Havana": [1998, 2012],
    "America/New_York": [1974, 2007, 2026],
    "America/Santiago": [2010, 2022],
    "America/Sao_Paulo": [2000, 2018, 2026],
    "America/Scoresbysund": [1981, 2023],
    "America/St_Johns": [1988, 2007, 2011, 2026],
    "Antarctica/Casey": [2010, 2012],
    "Antarctica/Troll": [2026],
    "Asia/Beirut": [1993, 2022],
    "Asia/Kathmandu": [1985, 1986],
    "Asia/Pyongyang": [2015, 2018],
    "Asia/Tehran": [2021, 2022],
    "Asia/Tokyo": [2026],
    "Australia/Lord_Howe": [1981, 2026],
    "Etc/UTC": [2026],
    "Europe/Berlin": [1980, 1996, 2026, 2037],
    "Europe/Dublin": [1971, 2026],
    "Pacific/Apia": [2010, 2011, 2012],
    "Pacific/Chatham": [2026],
    "Pacific/Kiritimati": [1994, 1995],
    "Pacific/Kwajalein": [1993],
}


def main(command, *arguments):
    {"check": check, "golden": golden}[command](*arguments)


def at(second, zone):
    return datetime.fromtimestamp(second, zone)


def offset(second, zone):
    return int(at(second, zone).utcoffset().total_seconds())


def changes(zone):
    """[(first second, offset)] of each stretch in which the offset from UTC is the same."""
    begin = -2 * DAY
    found = [(-(10**12), offset(begin, zone))]
    for second in range(begin, (DATES + 2) * DAY, STEP):
        if offset(second, zone) != found[-1][1]:
            low, high = second - STEP, second
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle, zone) == found[-1][1] else (low, middle)
            found.append((high, offset(high, zone)))
    return found


def begins(zone):
    """When each date begins: the first second at which clocks show it or a later one, 0 for one before 1970."""
    found = changes(zone)
    ends = [second for second, _ in found[1:]] + [10**12]
    result, first = [], 0
    for number in range(DATES):
        while ends[first] + found[first][1] <= number * DAY:
            first += 1
        begin = max(found[first][0], number * DAY - found[first][1])
        shown = EPOCH + timedelta(days=number)
        # A zone may skip a date.
        assert at(begin, zone).date() >= shown > at(begin - 1, zone).date(), (zone, shown, begin)
        result.append(max(begin, 0))
    return result


def named(name):
    return zoneinfo.ZoneInfo(name)


def compare(task):
    """How many dates of a zone differ, and the first that does."""
    name, days = task
    ours, theirs = array("Q", days), array("Q", (second * 1_000 for second in begins(named(name))))
    differ = [number for number in range(DATES) if ours[number] != theirs[number]]
    first = differ and (name, str(EPOCH + timedelta(days=differ[0])), ours[differ[0]], theirs[differ[0]])
    return len(differ), first


def read(program, database):
    """{name: bytes} of all zones."""
    command = [program, "0", str(DATES - 1)] + ["bundled"] * (database == "bundled")
    environment = {} if database == "bundled" else {"TZDIR": database}
    output, days, place = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout, {}, 0
    while place < len(output):
        end = output.index(b"\n", place)
        days[output[place:end].decode()] = output[end + 1 : end + 1 + 8 * DATES]
        place = end + 1 + 8 * DATES
    return days


def check(program, database):
    is_bundled = database == "bundled"
    days = read(program, database)
    zoneinfo.reset_tzpath([] if is_bundled else [database])
    if is_bundled:
        import tzdata

        said = subprocess.run([program], capture_output=True, text=True).stderr
        assert said.strip().endswith(tzdata.IANA_VERSION), f"not of the release {tzdata.IANA_VERSION}: {said}"
        database = f"bundled, {tzdata.IANA_VERSION}"
    known = zoneinfo.available_timezones()
    both = sorted(known & days.keys())
    print(f"{database}: zones only there {sorted(known - days.keys())}, only here {sorted(days.keys() - known)}")
    with Pool() as pool:
        results = pool.map(compare, [(name, days[name]) for name in both], chunksize=4)
    different = [(count, first) for count, first in results if count]
    for count, first in different:
        print(f"{count} dates differ, the first: {first}")
    print(f"{database}: {len(both)} zones, {len(both) * (LAST + 1)} days, {sum(count for count, _ in different)} differ")
    sys.exit(bool(different) or len(both) < 400)


def golden():
    """Days about each change of clocks in some years, and about the middle of January."""
    import tzdata

    lines = [
        "# When local days begin and end in Unix milliseconds, as Python's zoneinfo has them; made by test/judges/zones.py,",
        f"# of the database {tzdata.IANA_VERSION}. Zone, days since 1970, begin, end, date.",
    ]
    for name, years in GOLDEN.items():
        zone = named(name)
        starts, dates = begins(zone), set()
        for year in years:
            dates |= {(date(year, 1, 15) - EPOCH).days}
            for second, _ in changes(zone)[1:]:
                shown = at(second, timezone.utc).date()
                if shown.year == year:
                    middle = (shown - EPOCH).days
                    dates |= set(range(middle - 2, middle + 3))
        for number in sorted(dates):
            day = EPOCH + timedelta(days=number)
            lines.append(f"{name} {number} {starts[number] * 1000} {starts[number + 1] * 1000} {day}")
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
