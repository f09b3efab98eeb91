"""Words that tell names from other capitals in police English."""

from __future__ import annotations

import re


def word_among(words: str) -> str:
    """A pattern for any of these at a word's beginning, in whatever case: "plate|reg" and the like.

    No alternative may stand within brackets at the top. One character class comes first, so that
    `re` runs over all other signs, as it can't where a boundary comes first or case is ignored.
    """
    alternatives = re.findall(r"(?:\([^()]*\)|[^|()])+", words)
    rest = "|".join(f"(?<={each[0]}){each[1:]}" for each in alternatives)
    firsts = "".join(sorted({sign for each in alternatives for sign in each[0] + each[0].upper()}))
    return rf"[{firsts}](?<!\w.)(?i:{rest})"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OFFICERS = _words("""
    ofc ofcs ofcr ofcrs officer officers det dets detective detectives sgt sergeant lt
    lieutenant cpl corporal deputy dep trooper tpr investigator inv agent sa tfo capt
    captain chief sheriff po p.o ofc. det. sgt. lt. cpl. dep. inv. capt. tpr. constable
    marshal judge unit
""")
TITLES = _words("""
    mr mrs ms miss dr mr. mrs. ms. dr. doña don sr. sra. rev rev. sister
""")
PARTICLES = _words("""
    de del la las los da dos van von der bin al el y
""")
SUFFIXES = _words("""
    jr sr ii iii iv jr. sr.
""")

# What a run of capitals that ends with, or is followed by, one of these names: not a person.
NOT_PERSON = _words("""
    street st ave avenue road rd blvd boulevard drive dr lane ln way court ct place pl
    square sq hwy highway rte route exit pkwy parkway terrace circle bridge airport
    interstate inn hotel motel suites suite lodge spa salon nails massage foods roofing
    garment llc inc corp company co ltd restaurant bar grill club lounge cafe market store
    station center centre hospital medical clinic church school academy college university
    park county city town house home apartments apts mall plaza police pd department dept
    office division bureau agency travel labor harvest shelter services street's bank visa
    pay app gas building tower hall casino truck van sedan suv commissioner pod
""")
_VEHICLES = _words("""
    acura audi bmw buick cadillac chevrolet chevy chrysler dodge fiat ford gmc honda hyundai
    infiniti jaguar jeep kia lexus lincoln mazda mercedes benz mercedes-benz mercury
    mitsubishi nissan pontiac ram saturn scion subaru suzuki tesla toyota volkswagen volvo
    vw accord altima camry caravan challenger charger cherokee civic corolla corvette edge
    elantra equinox escape escalade explorer expedition focus fusion impala jetta malibu
    maxima mustang odyssey pilot ranger rav4 rogue sentra sienna sierra silverado sonata
    suburban tacoma tahoe taurus transit traverse tundra wrangler yukon tan grn blk whi wht
    blu gry sil red white black blue gray grey silver green purple brown gold maroon yellow
    orange beige pink
""")
_PLACES = _words("""
    alabama alaska arizona arkansas california calif colorado connecticut delaware florida
    georgia hawaii idaho illinois indiana iowa kansas kentucky louisiana maine maryland
    massachusetts mass michigan minnesota mississippi missouri montana nebraska nevada nev
    hampshire jersey mexico york carolina dakota ohio oklahoma oregon pennsylvania rhode
    tennessee texas utah vermont virginia washington wisconsin wyoming america united states
    usa us al ak az ar ca co ct de fl ga hi id il ia ks ky me md ma mi mn ms mo mt ne nv nh
    nj nm ny nc nd oh ok or pa ri sc sd tn tx ut vt va wa wv wi wy dc boston chicago dallas
    houston austin phoenix philadelphia seattle denver atlanta miami orlando tampa memphis
    nashville detroit cleveland columbus cincinnati dayton toledo akron indianapolis
    louisville baltimore newark providence worcester springfield hartford haven bridgeport
    lowell lynn brockton cambridge somerville dorchester roxbury mattapan lewiston portland
    manchester nashua brooklyn bronx queens manhattan harlem buffalo rochester albany
    pittsburgh guatemala honduras salvador china korea vietnam thailand philippines india
    brazil russia ukraine nigeria canton rosemead orange broadway figueroa fig lamar story
    river north south east west northbound southbound eastbound westbound mcallen tamaulipas
""")
_CALENDAR = _words("""
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday
    friday saturday sunday mon tue tues wed thu thur thurs fri sat sun am pm hrs hours
""")
_POLICE = _words("""
    aka dob doa op oper oln dl ssn sid fbi reg lic lp tag vin poss susp subj vict veh vehs
    t/s f/i b/u cb cwof fio fio'd ncic tcic nlets bolo rp pr wf wm bf bm hf hm af am unk yoa
    yo approx ofcs obs obsd neg clr cmd dk ig fb snap snapchat instagram facebook whatsapp
    tiktok telegram twitter cash venmo zelle paypal ad ads uc ci er id ids i.d tel tele
    phone cell email e-mail website dispatch dispatched anon anonymous caller complainant
    victim suspect subject witness driver operator passenger passengers pass drvr front rear
    male female males females juvenile juv adult inmate intel note notes report reporting
    party parties manager owner tenant employer employee worker security charge nurse social
    clerk detained arrested booked charged released known associate assoc stopped stop
    stated states state advised advises observed identified reported reports seen met spoke
    called calls told said says asked gave provided refused referred transferred transfer
    transported transport towed tow missing entered both one two three four five six seven
    no not none the a an and or of in on at to from with w/ w/o by for as is was were be
    been has had have he she they him her his hers them their it its this that these those
    who whom which what when where while upon during after before until since about over
    under behind against near also other another any all each every some many several only
    just then there here if but so i me my we our you your us do does did will would could
    should can may might must action further scene night day time date left right fled foot
    rang girl girls boyfriend girlfriend mother father sister brother son daughter cousin
    aunt uncle wife husband child children friend neighbor coworker co-worker guardian
    people person man woman men women white black hispanic latina latino asian english
    spanish chinese french arabic vietnamese american mexican honduran card cards property
    tattoo tattoos moniker loyalty forearm hoodie jeans shirt pants hat shoes money dollars
    currency prepaid receipt quality keys room rm house prostitution probation deriving
    support license licence registration plate plates passport documents document visa
    officers police sheriff federal national hotline hotel's red roof comfort budget knights
    scottish golden jade lucky super days best western holiday travelodge shell mobil exxon
    walmart target mcdonald's burger starbucks dunkin mass main elm oak pine maple cedar
    blvd martin luther king ref per via re attn hx prior priors active warrant warrants misd
    fel felony checked check checks record records run ran query negative positive clear ped
    vs cad log screaming fight disturbance domestic loud music welfare concern unwanted new
    hi hello dear mom dad sir ma'am okay ok yes blocked number numbers callback business
    juveniles supv supervisor command loc location address residence res apt contact
    emergency secondary primary passage investigator's tip tipster ad's poster backpage
    megapersonals return returned ticket entertainment walk-in juvenile's photo photos real
    name names visitor visitors belt named
""")
PLACE_STARTS = _words("""
    san santa los las fort new saint el port lake mount
""")
NEVER = _VEHICLES | _PLACES | _CALENDAR | _POLICE | NOT_PERSON | OFFICERS
