"""Requests of every kind that people make of machines, written for no catalogue in particular.

How near the best tool comes to these tells what a score is worth: see `toolbox.index.calibration`. They differ in
topic, length and form, as real requests do; to change one is to change every similarity a little.
"""

_WRITTEN = """
    what will the weather be like in Oslo this weekend
    book a table for four at a quiet restaurant near the station
    translate this letter into Portuguese
    how far is it from here to the airport by train
    play something calm while I cook
    remind me to water the plants every second day
    find a cheap flight to Lisbon in the second half of May
    summarise the minutes of yesterday's meeting
    which of my bills are due before the end of the month
    draw a cat that sits on a piano
    turn off the lights in the children's room
    what is the chemical formula of caffeine
    order new toner for the printer on the third floor
    list the open pull requests that wait for my review
    is this mushroom safe to eat
    send the signed contract to the landlord
    convert the recording to a smaller file
    who won the match last night
    compute the monthly payment of a loan over twenty years
    find a dentist who takes patients on Saturdays
    delete all the photos that are blurred
    what does this error message mean and how do I get rid of it
    create a new customer with this address and phone number
    how many calories are in a bowl of lentil soup
    post the picture of the sunset with a short caption
    show me houses with a garden under three hundred thousand
    check whether the website is up and how fast it answers
    plan a three day trip through the mountains for a family with small children
    what is the fastest way to learn the guitar
    restart the service that handles payments
    read the article aloud to me
    count how often each word appears in the speech
    which stocks fell the most this week
    add the new colleague to the project and give her access to the documents
    write a polite answer to this complaint
    what time is it in Auckland when it is noon in Berlin
    find papers about the migration of arctic birds
    recognise the text on this scanned receipt
    generate a strong password that I can still remember
    compare the battery life of these two phones
    open a ticket about the broken elevator
    how do I remove a wine stain from a carpet
    merge the two spreadsheets by the order number
    tell me a riddle that a six year old can solve
    where is my parcel right now
    reserve a meeting room for ten people tomorrow at three
    what are the side effects of this medicine
    back up the database before the upgrade
    find the shortest path that visits all these cities
    cancel my subscription to the newspaper
    turn this sketch into a web page
    make the background of the picture transparent
    is there a pharmacy that is open at night
    schedule a post for Monday morning on all our channels
    explain the difference between the two theorems with an example
    show the number of visitors of the shop per hour
    transfer fifty euros to my sister
    what should I wear to a wedding in the countryside
    detect the language of this paragraph
    extract all the names and dates from the contract
    block the address that keeps sending me advertising
    calculate the area of an irregular field from its corners
    simulate how the population of foxes changes with that of rabbits
    let the robot vacuum the hall at nine
    which movies by this director can I stream tonight
    check the grammar and spelling of my essay
    look up the owner of this domain
    download the annual report as a document
    suggest a gift for a friend who likes chess and old maps
    how much tax do I have to pay when I sell the car
    start a virtual machine with two cores in the region nearest to me
    find synonyms for the word stubborn
    set the thermostat to nineteen degrees until I am back
    translate the subtitles of the documentary and save them beside it
    when was this bridge built and who designed it
    invite everybody who came last year
    sort the songs by tempo and drop those that appear twice
    what is the exchange rate of the yen today
    write a unit test for this function
    find a recipe that uses up pumpkin and rice
    track the flight my parents are on
    give me the phone number of the town hall
    predict the demand for umbrellas next month from last year's sales
    crop the video to the part where the dog jumps
    who is the author of this poem
    rotate the access keys that are older than ninety days
    estimate how long the battery lasts with this load
    book a taxi for five in the morning and wake me at four
    is it cheaper to rent or to buy here
    find a used bicycle in good condition within ten miles
    prepare slides about our results of the last quarter
    tell me when the price drops below forty dollars
    what is the capital of the country with the longest coast
    solve this system of three equations
    change the delivery address of the order I placed this morning
    how do I say thank you in Swahili
    measure how loud the recording is
    mark all messages from the newsletter as read
    find out whether the two pictures show the same person
    organise the files on my desktop by project
    which vaccinations do I need for a journey to Kenya
    make a chart of rainfall by month and put it into the report
    show the medical history of the patient in bed twelve
    recommend a novel that is like the one I have just finished
    share my location with my brother for an hour
    freeze my bank card, I have lost it
    what did the committee decide about the new playground
    resize every picture in the folder and rename it by its date
    find someone who can repair a roof before the winter
    practise small talk in Italian with me
    how many people live within an hour of this city
    release the new version and tell the team in the chat
    check the air quality on my way to work
    turn the temperature readings into a daily average and flag the outliers
    what is the opening move of the Sicilian defence
    transcribe the interview and mark who is speaking
    look for cheaper car insurance with the same cover
    give every student their grade by mail
    remove duplicate rows from the table
    let me know how the election in the north is going
"""

GENERIC_QUERIES: tuple[str, ...] = tuple(line.strip() for line in _WRITTEN.strip().splitlines())
